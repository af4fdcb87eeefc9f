local cjson = require("cjson")
local raises = require("spec.support.raises")
local sample = require("spec.support.sample")
local start_receiver = require("spec.support.receiver").start
local temp = require("spec.support.temp")
local wait = require("spec.support.wait")
local webhook = require("webhook")

local BUILT_IN = { "app_build_created", "app_deployment_created", "job_created", "job_finished" }
local OPEN_IN_JOBS = {
  appDeploymentId = true, canceledAt = true, canceledBy = true, -- another kind of job
  pendingAt = true, inProgressAt = true, finishedAt = true, -- a job that was just created
  queueTimeInSeconds = true, pendingTimeInSeconds = true, inProgressTimeInSeconds = true, totalTimeInSeconds = true,
}

webhook.events.define("sample_invoice", {
  fields = {
    { "invoiceId", "string" }, { "customerName", "string" }, { "amount", "number" }, { "lines", "integer" },
    { "paidAt", "integer" }, { "paid", "boolean" }, { "extra", "table" }, { "note", "any" }, { "appId", "string" },
  },
  title = "Invoice {invoiceId} of {customerName}",
})
webhook.events.define("sample_broken", {
  fields = { { "customer", "table" } },
  title = function(data)
    return data.customer.address.city
  end,
})

describe("a test", function()
  local receiver, folder, hooks

  setup(function()
    receiver = start_receiver()
  end)

  teardown(function()
    receiver:stop()
  end)

  before_each(function()
    receiver:reset()
    folder = temp.folder()
    hooks = sample.open(folder)
  end)

  after_each(function()
    hooks:close(0)
    folder:remove()
  end)

  it("of each event goes to one webhook, whatever its events say, and is logged", function()
    local hook = sample.hook(hooks, receiver.url .. "/ok", { events = { "sample_invoice" }, signing_secret = "secret" })
    sample.hook(hooks, receiver.url .. "/status/500")
    for _, name in ipairs(BUILT_IN) do
      local message = assert(hooks:send_test(hook.id, name))
      assert.equal(1, message.deliveries)
      assert.is_true(hooks:drain(10))
      local delivery = hooks.log[message.delivery_id]
      assert.equal(message.id, delivery.message_id)
      assert.equal(hook.id, delivery.webhook_id)
      assert.equal(name, delivery.event)
      assert.equal(sample.app_id, delivery.app_id)
      assert.equal("succeeded", delivery.status)
      assert.equal("test", delivery.trigger)
      assert.equal("test", delivery.attempts[1].trigger)
      local request = receiver:last("/ok")
      assert.equal(delivery.request_body, request.body)
      assert.is_true(webhook.verify("capawesome", "secret", request.headers, request.body))
      local payload = cjson.decode(request.body)
      assert.equal(name, payload.event)
      assert.equal(sample.app_id, payload.data.appId)
      for field, value in pairs(payload.data) do
        assert.is_true(value ~= cjson.null or name:find("^job") and OPEN_IN_JOBS[field] or false, name .. ": " .. field)
      end
    end
    assert.equal(4, #hooks.log)
    assert.equal(0, receiver:total("/status/500"))
  end)

  it("has a job that hangs together", function()
    local hook = sample.hook(hooks, receiver.url .. "/ok")
    assert(hooks:send_test(hook.id, "job_finished"))
    assert.is_true(hooks:drain(10))
    local data = cjson.decode(receiver:last("/ok").body).data
    assert.equal("succeeded", data.status)
    assert.equal((data.finishedAt - data.createdAt) / 1000, data.totalTimeInSeconds)
    assert.is_true(data.createdAt <= data.pendingAt and data.pendingAt < data.inProgressAt)
    assert.is_true(math.abs(data.finishedAt / 1000 - os.time()) < 60)
  end)

  it("of an event of the application is made from its fields", function()
    local hook = sample.hook(hooks, receiver.url .. "/ok", { app_id = "my-app" })
    assert(hooks:send_test(hook.id, "sample_invoice"))
    assert.is_true(hooks:drain(10))
    local data = cjson.decode(receiver:last("/ok").body).data
    assert.equal(36, #data.invoiceId)
    assert.equal("Sample customerName", data.customerName)
    assert.equal("number", type(data.amount))
    assert.equal(42, data.lines)
    assert.is_true(data.paidAt > 1.5e12)
    assert.is_true(data.paid)
    assert.equal("table", type(data.extra))
    assert.is_string(data.note)
    assert.equal("my-app", data.appId)
  end)

  it("is a message in a chat", function()
    local hook = sample.hook(hooks, receiver.url .. "/ok", { format = "slack" })
    local message = assert(hooks:send_test(hook.id, "sample_invoice"))
    assert.is_true(hooks:drain(10))
    local body = receiver:last("/ok").body
    assert.truthy(body:find("of Sample customerName", 1, true), body)
    assert.equal(body, hooks.log[message.delivery_id].request_body)
  end)

  it("is retried and resent like every delivery", function()
    hooks:close()
    hooks = sample.open(folder, { retry = { 0.05 } })
    local hook = sample.hook(hooks, receiver.url .. "/flaky/1")
    local message = assert(hooks:send_test(hook.id, "job_created"))
    local function finished(attempts)
      return wait.for_condition("attempt " .. attempts, 10, function()
        local delivery = hooks.log[message.delivery_id]
        return delivery.status == "succeeded" and delivery.attempt_count == attempts and delivery
      end)
    end
    assert(finished(2):resend())
    local triggers = {}
    for index, attempt in ipairs(finished(3).attempts) do
      triggers[index] = attempt.trigger
    end
    assert.same({ "test", "retry", "resend" }, triggers)
  end)

  it("needs a webhook that is there and enabled", function()
    local hook = sample.hook(hooks, receiver.url .. "/ok")
    assert(hooks.webhooks:update(hook.id, { enabled = false }))
    local cases = { [hook.id] = "disabled", ["01a20b7e-0000-7000-8000-000000000000"] = "not_found", nonsense = "not_found" }
    for id, expected in pairs(cases) do
      local message, problem, code = hooks:send_test(id, "job_created")
      assert.is_nil(message)
      assert.is_string(problem)
      assert.equal(expected, code)
    end
    assert.equal(0, #hooks.log)
  end)

  it("raises for an event that is not known", function()
    local hook = sample.hook(hooks, receiver.url .. "/ok")
    raises("unknown event 'job_finishd' (did you mean 'job_finished'?)", function()
      hooks:send_test(hook.id, "job_finishd")
    end)
    raises("a webhook's id expected", function()
      hooks:send_test(nil, "job_finished")
    end)
  end)

  it("says so when the application's own words fail on the sample", function()
    local hook = sample.hook(hooks, receiver.url .. "/ok", { format = "slack" })
    local message, problem, code = hooks:send_test(hook.id, "sample_broken")
    assert.is_nil(message)
    assert.equal("invalid_event", code)
    assert.truthy(problem:find("title", 1, true), problem)
  end)
end)
