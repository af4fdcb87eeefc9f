-- What becomes of a delivery after each kind of answer. The whole table of verdicts stands in spec/core/test_verdict.c.
local raises = require("spec.support.raises")
local sample = require("spec.support.sample")
local start_receiver = require("spec.support.receiver").start
local temp = require("spec.support.temp")
local webhook = require("webhook")

describe("a retry", function()
  local receiver, folder, hooks

  setup(function() receiver = start_receiver() end)
  teardown(function() receiver:stop() end)

  before_each(function()
    receiver:reset()
    folder = temp.folder()
    hooks = sample.open(folder, { retry = { 0.01, 0.01 } })
  end)

  after_each(function()
    hooks:close(0)
    folder:remove()
  end)

  local function deliver_to(path, fields)
    local hook = sample.hook(hooks, receiver.url .. path, fields)
    return sample.deliver(hooks), hook
  end

  it("is not made after an answer that would stay the same", function()
    local reasons = { [400] = "does not accept", [401] = "credentials", [403] = "forbids", [404] = "does not know this URL",
      [413] = "too large", [422] = "cannot process", [418] = "for good" }
    for status, reason in pairs(reasons) do
      local delivery, hook = deliver_to("/status/" .. status)
      assert.equal("failed", delivery.status)
      assert.equal(1, #delivery.attempts)
      assert.truthy(delivery.reason:find(reason, 1, true), delivery.reason)
      assert.is_true(hooks.webhooks:get(hook.id).enabled)
      assert(hooks.webhooks:delete(hook.id))
    end
    local delivery = deliver_to("/redirect")
    assert.equal(1, #delivery.attempts)
    assert.truthy(delivery.reason:find("redirects are not followed", 1, true))
  end)

  it("is made after an answer that may change, until the schedule ends", function()
    for _, status in ipairs({ 408, 425, 429, 500, 503 }) do
      local delivery, hook = deliver_to("/status/" .. status)
      assert.equal("failed", delivery.status)
      assert.equal(3, #delivery.attempts)
      assert.equal("the retry schedule is used up", delivery.reason)
      assert(hooks.webhooks:delete(hook.id))
    end
  end)

  it("waits as long as Retry-After asks", function()
    local delivery = deliver_to("/throttled/1")
    assert.equal("succeeded", delivery.status)
    assert.is_true(delivery.attempts[2].sent_at - delivery.attempts[1].sent_at >= 1000)
  end)

  it("is never made after 410: the webhook is disabled, with the reason, and its owner can enable it", function()
    local delivery, hook = deliver_to("/status/410")
    assert.equal("failed", delivery.status)
    assert.equal(1, #delivery.attempts)
    local record = hooks.webhooks:get(hook.id)
    assert.is_false(record.enabled)
    assert.truthy(record.disabled_reason:find("gone for good", 1, true))
    assert.equal(record.disabled_reason, delivery.reason)
    assert.equal(0, assert(hooks:emit(sample.job_finished())).deliveries)
    record = assert(hooks.webhooks:update(hook.id, { enabled = true, url = receiver.url .. "/ok" }))
    assert.is_true(record.enabled)
    assert.is_nil(record.disabled_reason)
    assert.equal("succeeded", sample.deliver(hooks).status)
  end)

  it("cancels what waits for a webhook that 410 disabled", function()
    hooks:close(0)
    hooks = sample.open(folder, { retry = { 0.3, 0.3 } })
    local hook = sample.hook(hooks, receiver.url .. "/status/500")
    local waiting = assert(hooks:emit(sample.job_finished()))
    assert.is_true(hooks:drain(10))
    assert(hooks.webhooks:update(hook.id, { url = receiver.url .. "/status/410" }))
    sample.finished(hooks, assert(hooks:emit(sample.job_finished())))
    assert.equal("canceled", sample.finished(hooks, waiting).status)
  end)

  it("is never made for a Discord webhook that is unknown", function()
    local delivery, hook = deliver_to("/status/404", { format = "discord" })
    assert.equal(1, #delivery.attempts)
    assert.is_false(hooks.webhooks:get(hook.id).enabled)
  end)

  it("follows a growing schedule", function()
    hooks:close(0)
    hooks = sample.open(folder, { retry = { base = 0.01, factor = 2, max = 0.03, attempts = 5 } })
    assert.equal(5, #deliver_to("/status/500").attempts)
  end)

  it("is not made with retry = false", function()
    hooks:close(0)
    hooks = sample.open(folder, { retry = false })
    assert.equal(1, #deliver_to("/status/500").attempts)
  end)

  it("has a schedule that is checked", function()
    raises("delay 2 must be 0 to 2592000 seconds", function() webhook.open(":memory:", { retry = { 1, -1 } }) end)
    raises("unknown option 'bas' (did you mean 'base'?)", function() webhook.open(":memory:", { retry = { bas = 1 } }) end)
    raises("attempts must be 1 to 33", function() webhook.open(":memory:", { retry = { attempts = 34 } }) end)
    raises("option 'factor' must be positive", function() webhook.open(":memory:", { retry = { factor = 0 } }) end)
  end)
end)
