local flavour = require("spec.support.flavour")
local sample = require("spec.support.sample")
local shell = require("spec.support.shell")
local start_receiver = require("spec.support.receiver").start
local temp = require("spec.support.temp")
local wait = require("spec.support.wait")
local webhook = require("webhook")

local SECRET = "a secret with ümlauts"

describe("a delivery", function()
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
  end)

  after_each(function()
    if hooks then
      hooks:close(0)
      hooks = nil
    end
    folder:remove()
  end)

  local function open(options)
    hooks = sample.open(folder, options)
    return hooks
  end

  local function deliver_to(path, options, fields)
    open(options)
    sample.hook(hooks, receiver.url .. path, fields)
    return sample.deliver(hooks)
  end

  local function triggers(delivery)
    local list = {}
    for index, attempt in ipairs(delivery.attempts) do
      assert.equal(index, attempt.number)
      list[index] = attempt.trigger
    end
    return list
  end

  local function resident_kilobytes()
    return tonumber(shell.read_file("/proc/self/status"):match("VmRSS:%s*(%d+)"))
  end

  it("arrives byte for byte, with the signature that Node computes", function()
    local delivery = deliver_to("/ok", nil, { signing_secret = SECRET })
    local request = receiver:last("/ok")
    assert.equal(sample.JOB_FINISHED_BYTES, request.body)
    assert.equal(sample.JOB_FINISHED_BYTES, delivery.request_body)
    assert.equal(delivery.id, request.headers["webhook-id"])
    assert.equal("application/json", request.headers["content-type"])
    assert.is_nil(request.headers.expect)
    shell.write_file(folder:file("body"), request.body)
    local script = [[process.stdout.write(require("crypto").createHmac("sha256", process.argv[1])
      .update(require("fs").readFileSync(process.argv[2])).digest("hex"))]]
    local signature = shell.check("env -u LD_PRELOAD " .. shell.command({ "node", "-e", script, SECRET, folder:file("body") }))
    assert.equal(signature, request.headers["x-signature"])
  end)

  it("carries no signature without a secret", function()
    deliver_to("/ok")
    assert.is_nil(receiver:last("/ok").headers["x-signature"])
  end)

  it("uses one connection for one delivery after the other", function()
    open()
    sample.hook(hooks, receiver.url .. "/ok")
    for _ = 1, 20 do
      assert.equal("succeeded", sample.deliver(hooks).status)
    end
    assert.equal(20, receiver:total("/ok"))
    assert.equal(1, receiver:connections("/ok"))
  end)

  it("is tried again until the receiver takes it", function()
    local delivery = deliver_to("/flaky/2", { retry = { 0.05, 0.05 } })
    assert.equal("succeeded", delivery.status)
    assert.equal(1, #hooks.log)
    assert.equal(3, delivery.attempt_count)
    assert.same({ "emit", "retry", "retry" }, triggers(delivery))
    assert.equal(500, delivery.attempts[1].response_status_code)
    assert.equal(500, delivery.attempts[2].response_status_code)
    assert.equal(200, delivery.attempts[3].response_status_code)
    assert.same({ [delivery.id] = 3 }, receiver:ids())
  end)

  it("fails once the schedule is used up", function()
    local delivery = deliver_to("/status/500", { retry = { 0.05, 0.05 } })
    assert.equal("failed", delivery.status)
    assert.equal(500, delivery.response_status_code)
    assert.same({ "emit", "retry", "retry" }, triggers(delivery))
    assert.equal(3, receiver:total())
  end)

  it("times out", function()
    local delivery = deliver_to("/hang", { timeout = 0.3 })
    assert.equal("failed", delivery.status)
    assert.is_nil(delivery.response_status_code)
    assert.truthy(delivery.attempts[1].error:lower():find("time", 1, true), delivery.attempts[1].error)
    assert.truthy(delivery.attempts[1].error:find("timeout", 1, true), delivery.attempts[1].error)
  end)

  it("keeps a bounded part of an endless answer", function()
    open()
    sample.hook(hooks, receiver.url .. "/huge")
    local before = resident_kilobytes()
    local delivery = sample.deliver(hooks)
    local grown = resident_kilobytes() - before
    assert.equal("succeeded", delivery.status)
    assert.equal(200, delivery.response_status_code)
    assert.equal(("x"):rep(20000), delivery.response_body)
    assert.is_true(delivery.response_body_cut)
    assert.is_true(grown < 30 * 1024, ("grew by %d kB"):format(grown))
    local stats = wait.for_condition("the stream to end", 10, function()
      local now = receiver:stats("/huge")
      return now.active == 0 and now
    end)
    assert.is_true(stats.sent < 100 * 1024 * 1024)
  end)

  it("fails with an error when the receiver closes without an answer", function()
    local delivery = deliver_to("/reset")
    assert.equal("failed", delivery.status)
    assert.is_nil(delivery.response_status_code)
    assert.truthy(#delivery.attempts[1].error > 0)
  end)

  it("keeps an answer that is no text", function()
    local delivery = deliver_to("/binary")
    assert.equal("\0\1\127\128\200\255\0end\195\40", delivery.response_body)
    assert.equal(delivery.response_body, hooks.log[delivery.id].attempts[1].response_body)
    assert.is_false(delivery.response_body_cut)
  end)

  it("keeps the answer up to its limits, and marks what was cut", function()
    local delivery = deliver_to("/large-answer/20000")
    local whole = ("\0\255"):rep(10000)
    assert.equal(whole, delivery.response_body)
    assert.is_false(delivery.response_body_cut)
    assert.is_true(delivery.response_headers_cut)
    assert.is_true(delivery.attempts[1].response_headers_cut)
    assert.truthy(delivery.response_headers["x-large"]:match("^h+$"))
    local hook = hooks.webhooks:list()[1]
    assert(hooks.webhooks:update(hook.id, { url = receiver.url .. "/large-answer/20002" }))
    delivery = sample.deliver(hooks)
    assert.equal(whole, delivery.response_body)
    assert.is_true(delivery.response_body_cut)
    assert.is_true(delivery.attempts[1].response_body_cut)
    assert(hooks.webhooks:update(hook.id, { url = receiver.url .. "/large-answer/100" }))
    delivery = sample.deliver(hooks)
    assert.equal(100, #delivery.response_body)
    assert.equal(("h"):rep(100), delivery.response_headers["x-large"])
    assert.is_false(delivery.response_body_cut)
    assert.is_false(delivery.response_headers_cut)
  end)

  it("keeps as much of the answer as max_response_body says", function()
    local delivery = deliver_to("/large-answer/100", { max_response_body = 11 })
    assert.equal(("\0\255"):rep(5) .. "\0", delivery.response_body)
    assert.is_true(delivery.response_body_cut)
    hooks:close()
    open({ max_response_body = 0 })
    delivery = sample.deliver(hooks)
    assert.is_true(delivery.response_body == nil or delivery.response_body == "")
    assert.is_true(delivery.response_body_cut)
  end)

  it("does not follow a redirect", function()
    local delivery = deliver_to("/redirect")
    assert.equal("failed", delivery.status)
    assert.equal(302, delivery.response_status_code)
    assert.equal(0, receiver:total("/ok"))
  end)

  it("does not go to a loopback address that is not allowed", function()
    local delivery = deliver_to("/ok", { allow_networks = {} })
    local problem = delivery.attempts[1].error
    assert.equal("failed", delivery.status)
    assert.truthy(problem:find("127.0.0.1", 1, true), problem)
    assert.truthy(problem:find("allow_networks", 1, true), problem)
    assert.equal(0, receiver:total())
  end)

  it("can be sent again: same id, same bytes", function()
    local delivery = deliver_to("/ok")
    assert.is_true(delivery:resend())
    local again = wait.for_condition("the second attempt", 10, function()
      local now = hooks.log[delivery.id]
      return now.attempt_count == 2 and now.status == "succeeded" and now
    end)
    assert.same({ "emit", "resend" }, triggers(again))
    assert.same({ [delivery.id] = 2 }, receiver:ids())
    assert.equal(sample.JOB_FINISHED_BYTES, receiver:last("/ok").body)
    assert.equal(1, #hooks.log)
  end)

  it("is not sent again while it is pending", function()
    open({ timeout = 10 })
    sample.hook(hooks, receiver.url .. "/hang")
    assert(hooks:emit(sample.job_finished()))
    local _, delivery = hooks.log:each()()
    local ok, message, code = delivery:resend()
    assert.is_nil(ok)
    assert.is_string(message)
    assert.equal("pending", code)
  end)

  it("goes out once for an idempotency key", function()
    open()
    sample.hook(hooks, receiver.url .. "/ok")
    local first = assert(hooks:emit(sample.job_finished(), { id = "key" }))
    local second = assert(hooks:emit(sample.job_finished(), { id = "key" }))
    assert.is_false(first.duplicate)
    assert.is_true(second.duplicate)
    assert.equal(first.id, second.id)
    assert.is_true(hooks:drain(10))
    assert.equal(1, receiver:total())
    assert.equal(1, #hooks.log)
  end)

  it("is on disk after a flush, and goes out, when it was emitted without waiting", function()
    open()
    sample.hook(hooks, receiver.url .. "/ok")
    for _ = 1, 100 do
      assert.is_false(assert(hooks:emit(sample.job_finished(), { durable = false })).durable)
    end
    assert.is_true(hooks:flush(10))
    assert.equal(100, #hooks.log)
    assert.is_true(hooks:drain(10))
    assert.equal(100, receiver:total())
    assert.equal(100, hooks.log:where({ status = "succeeded" }):count())
  end)

  it("is stored together with the others of its list, or not at all", function()
    open()
    sample.hook(hooks, receiver.url .. "/ok")
    local list = {}
    for index = 1, 5 do
      list[index] = sample.job_finished()
    end
    list[3].data.stack = print
    local messages, problem, code = hooks:emit_all(list)
    assert.is_nil(messages)
    assert.equal("invalid_event", code)
    assert.truthy(problem:find("data.stack", 1, true), problem)
    assert.truthy(problem:find("event 3", 1, true), problem)
    list[3] = { event = "job_finishd", data = {} }
    messages, problem, code = hooks:emit_all(list, { app_id = sample.app_id })
    assert.is_nil(messages)
    assert.equal("invalid_event", code)
    assert.truthy(problem:find("event 3", 1, true), problem)
    assert.is_true(hooks:drain(10))
    assert.equal(0, #hooks.log)
    assert.equal(0, hooks:stats().events)
    assert.equal(0, receiver:total())
    list[3] = sample.job_finished()
    assert.equal(5, #assert(hooks:emit_all(list)))
    assert.is_true(hooks:drain(10))
    assert.equal(5, receiver:total())
  end)

  it("is counted", function()
    open({ timeout = 10 })
    local good = sample.hook(hooks, receiver.url .. "/ok")
    sample.deliver(hooks)
    assert(hooks.webhooks:update(good.id, { url = receiver.url .. "/status/500" }))
    sample.deliver(hooks)
    assert(hooks.webhooks:update(good.id, { url = receiver.url .. "/hang" }))
    assert(hooks:emit(sample.job_finished()))
    wait.for_condition("the hanging request", 10, function()
      return receiver:stats("/hang").active == 1
    end)
    local stats = hooks:stats()
    assert.equal(3, stats.events)
    assert.equal(1, stats.succeeded)
    assert.equal(1, stats.failed)
    assert.equal(1, stats.in_flight)
    assert.equal(0, stats.queued)
    assert.equal(1, stats.pending)
  end)

  it("makes a drain time out while it is in flight", function()
    open({ timeout = 10 })
    sample.hook(hooks, receiver.url .. "/hang")
    for _ = 1, 3 do
      assert(hooks:emit(sample.job_finished()))
    end
    local ok, message, left = hooks:drain(0.3)
    assert.is_nil(ok)
    assert.equal("timeout", message)
    assert.equal(3, left)
  end)

  it("raises for an unknown option and names the near one", function()
    open()
    local ok, message = pcall(hooks.emit, hooks, sample.job_finished(), { durabel = true })
    assert.is_false(ok)
    assert.truthy(message:find("did you mean 'durable'", 1, true), message)
  end)

  describe("in the log", function()
    local good, bad, first_id

    before_each(function()
      open()
      good = sample.hook(hooks, receiver.url .. "/ok", { events = { "job_finished" } })
      bad = sample.hook(hooks, receiver.url .. "/status/500", { name = "bad" })
      assert(hooks:emit(sample.job_finished()))
      assert(hooks:emit(webhook.events.job_created({ id = "1", appId = sample.app_id })))
      assert.is_true(hooks:drain(10))
      local list = {}
      for id in hooks.log:each() do
        list[#list + 1] = id
      end
      first_id = list[#list]
    end)

    it("is counted and listed, newest first", function()
      assert.equal(3, #hooks.log)
      assert.equal(3, hooks.log:count())
      local each = {}
      for id, delivery in hooks.log:each() do
        assert.equal(id, delivery.id)
        each[#each + 1] = id
      end
      assert.equal(3, #each)
      assert.is_true(each[1] > each[2] and each[2] > each[3])
    end)

    it("is listed by pairs, or pairs raises where Lua has no __pairs", function()
      local function by_pairs()
        local list = {}
        for id in pairs(hooks.log) do
          list[#list + 1] = id
        end
        return list
      end
      if not flavour.has_pairs_metamethod then
        assert.has_error(by_pairs)
        return
      end
      local list = by_pairs()
      assert.equal(3, #list)
      assert.is_true(list[1] > list[2] and list[2] > list[3])
    end)

    it("is found by its id, and nothing else is", function()
      assert.equal(first_id, hooks.log[first_id].id)
      assert.is_nil(hooks.log["nonsense"])
      assert.is_nil(hooks.log["01a20b7e-0000-7000-8000-000000000000"])
      assert.is_nil(hooks.log:where({ status = "pending" })[first_id])
    end)

    it("is filtered", function()
      local log = hooks.log
      assert.equal(1, log:where({ webhook_id = good.id }):count())
      assert.equal(2, log:where({ webhook_id = bad.id }):count())
      assert.equal(1, #log:where({ event = "job_created" }))
      assert.equal(2, #log:where({ status = "failed" }))
      assert.equal(1, #log:where({ status = "failed" }):where({ event = "job_created" }))
      assert.equal(0, #log:where({ webhook_id = "nonsense" }))
      local at = log[first_id].created_at
      assert.equal(3, #log:where({ since = at }))
      assert.equal(0, #log:where({ before = at }))
      assert.equal(0, #log:where({ since = at + 60000 }))
      assert.equal(3, #log:where({ before = at + 60000 }))
      for _, delivery in log:where({ status = "failed" }):each() do
        assert.equal(bad.id, delivery.webhook_id)
      end
      assert.has_error(function()
        log:where({ status = "faild" })
      end)
    end)

    it("can be sent again together with all that failed", function()
      assert(hooks.webhooks:update(bad.id, { url = receiver.url .. "/ok" }))
      assert.equal(2, hooks.log:where({ status = "failed" }):resend())
      assert.is_true(hooks:drain(10))
      assert.equal(3, #hooks.log:where({ status = "succeeded" }))
      assert.equal(0, hooks.log:where({ status = "failed" }):resend())
      assert.equal(3, receiver:total("/ok"))
    end)
  end)
end)
