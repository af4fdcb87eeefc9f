-- What a webhook's limits do at a real receiver. What takes days, and what changes while deliveries wait, stands in
-- spec/core/test_schedule.c and test_changes.c.
local cjson = require("cjson")
local process = require("spec.support.process")
local sample = require("spec.support.sample")
local shell = require("spec.support.shell")
local start_receiver = require("spec.support.receiver").start
local temp = require("spec.support.temp")
local wait = require("spec.support.wait")
local with = require("spec.support.with")

local PATIENCE = 30 -- seconds
local HOUR = 3600

describe("a webhook", function()
  local receiver, folder, hooks, records

  setup(function() receiver = start_receiver() end)
  teardown(function() receiver:stop() end)

  before_each(function()
    receiver:reset()
    folder = temp.folder()
    records = {}
  end)

  after_each(function()
    if hooks then
      hooks:close(0)
      hooks = nil
    end
    folder:remove()
  end)

  local function open(options)
    options = options or {}
    options.logger = function(record) records[record.event] = (records[record.event] or 0) + 1 end
    hooks = sample.open(folder, options)
  end

  local function emit(count, options)
    local list = {}
    for index = 1, count do list[index] = sample.job_finished() end
    return assert(hooks:emit_all(list, options))
  end

  local function wait_for(what, fn) return wait.for_condition(what, PATIENCE, fn) end

  local function wait_total(path, count)
    wait_for(count .. " requests", function() return receiver:total(path) >= count end)
  end

  -- An event of another webhook that came later has arrived: the dispatcher had its chance to send what it should not.
  local function let_another_pass()
    local hook = sample.hook(hooks, receiver.url .. "/ok", { app_id = "bystander" })
    for _ = 1, 3 do
      local before = receiver:total("/ok")
      emit(1, { app_id = "bystander" })
      wait_total("/ok", before + 1)
    end
    assert(hooks.webhooks:delete(hook.id))
  end

  -- The ids of its deliveries as they were emitted.
  local function emitted(hook)
    local ids = {}
    for id in hooks.log:where({ webhook_id = hook.id }):each() do table.insert(ids, 1, id) end
    return ids
  end

  local function succeeded(hook) return hooks.log:where({ webhook_id = hook.id, status = "succeeded" }):count() end

  describe("with max_in_flight", function()
    it("has so many requests under way, and never more", function()
      open()
      sample.hook(hooks, receiver.url .. "/slow/10", { max_in_flight = 3 })
      emit(40)
      assert.is_true(hooks:drain(PATIENCE))
      assert.equal(40, receiver:total("/slow/10"))
      assert.is_true(receiver:max_concurrent("/slow/10") <= 3, receiver:max_concurrent("/slow/10"))
    end)

    it("has more at once when it is raised", function()
      open()
      local hook = sample.hook(hooks, receiver.url .. "/hang", { max_in_flight = 2 })
      emit(10)
      wait_total("/hang", 2)
      let_another_pass()
      assert.equal(2, receiver:stats("/hang").active)
      assert(hooks.webhooks:update(hook.id, { max_in_flight = 5 }))
      wait_total("/hang", 5)
      let_another_pass()
      assert.equal(5, receiver:max_concurrent("/hang"))
    end)
  end)

  it("shares max_in_flight_per_host with the others of its host", function()
    open({ max_in_flight_per_host = 4, connections = 64 })
    for index = 1, 3 do sample.hook(hooks, receiver.url .. "/slow/1" .. index) end
    emit(30)
    assert.is_true(hooks:drain(PATIENCE))
    assert.equal(90, receiver:total())
    assert.is_true(receiver:max_concurrent() <= 4, receiver:max_concurrent())
  end)

  describe("with ordered", function()
    it("gets one after the other, as they were emitted", function()
      open()
      local hook = sample.hook(hooks, receiver.url .. "/ok", { ordered = true })
      for _ = 1, 5 do emit(20) end
      for _ = 1, 20 do assert(hooks:emit(sample.job_finished(), { durable = false })) end
      assert.is_true(hooks:flush(PATIENCE))
      assert.is_true(hooks:drain(PATIENCE))
      assert.equal(120, receiver:total("/ok"))
      assert.same(emitted(hook), (receiver:order("/ok")))
      assert.equal(1, receiver:max_concurrent("/ok"))
    end)

    it("waits for one that fails, until it succeeds or its schedule ends", function()
      open({ breaker = false })
      local hook = sample.hook(hooks, receiver.url .. "/outage/5", { ordered = true, retry = { 0.02, 0.02 } })
      emit(4)
      assert.is_true(wait_for("all to finish", function() return hooks:stats().pending == 0 end))
      local ids = emitted(hook)
      assert.same({ ids[1], ids[1], ids[1], ids[2], ids[2], ids[2], ids[3], ids[4] }, (receiver:order("/outage/5")))
      assert.equal("failed", hooks.log[ids[1]].status)
      assert.equal("the retry schedule is used up", hooks.log[ids[1]].reason)
      assert.equal(3, succeeded(hook))
    end)

    -- arg: database, name, how many. Emits them, and waits until nothing is left.
    local CHILD = [=[
local webhook = require("webhook")
local hooks = assert(webhook.open(arg[1], { allow_networks = { "127.0.0.0/8" } }))
for number = 1, tonumber(arg[3]) do
  assert(hooks:emit(webhook.events.job_finished { id = tostring(number), appId = "shop", stack = arg[2] }))
end
assert(hooks:drain(60))
assert(hooks:close())
]=]

    it("gets what two processes emit one after the other, what each emitted in its order", function()
      open()
      local count, script = 60, folder:file("child.lua")
      shell.write_file(script, CHILD)
      local hook = sample.hook(hooks, receiver.url .. "/ok", { app_id = "shop", ordered = true })
      local children = {}
      for index, name in ipairs({ "one", "two" }) do
        children[index] = process.start(script, { args = { folder:file("webhooks.db"), name, tostring(count) } })
      end
      for _, child in ipairs(children) do
        with(child, function() assert.equal(0, child:wait(2 * PATIENCE), child:output()) end)
      end
      assert.equal(2 * count, succeeded(hook))
      assert.equal(2 * count, receiver:total("/ok"))
      assert.equal(1, receiver:max_concurrent("/ok"))
      local arrived = { one = {}, two = {} }
      for _, id in ipairs((receiver:order("/ok"))) do
        local data = cjson.decode(hooks.log[id].request_body).data
        table.insert(arrived[data.stack], tonumber(data.id))
      end
      for _, numbers in pairs(arrived) do
        for number = 1, count do assert.equal(number, numbers[number]) end
      end
    end)
  end)

  describe("with rate_limit", function()
    it("gets so many in a period, and the rest when the limit goes", function()
      open()
      local hook = sample.hook(hooks, receiver.url .. "/slow/0", { rate_limit = { requests = 5, seconds = HOUR } })
      emit(12)
      wait_total("/slow/0", 5)
      let_another_pass()
      assert.equal(5, receiver:total("/slow/0"))
      assert(hooks.webhooks:update(hook.id, { rate_limit = false }))
      assert.is_true(hooks:drain(PATIENCE))
      assert.equal(12, receiver:total("/slow/0"))
    end)

    it("gets no more than the bucket and what was earned, in any window", function()
      open()
      local size, per_second = 10, 50
      sample.hook(hooks, receiver.url .. "/ok", { rate_limit = { requests = size, seconds = size / per_second } })
      emit(60)
      assert.is_true(hooks:drain(PATIENCE))
      local _, times = receiver:order("/ok")
      assert.equal(60, #times)
      -- What is seen later than it was sent can only make the whole time longer. nginx knows milliseconds.
      local shortest = (60 - size) / per_second
      assert.is_true(times[60] - times[1] >= shortest - 0.1, times[60] - times[1])
    end)
  end)

  describe("with a breaker", function()
    it("is left alone after failures, and gets what waits when its owner mends it", function()
      open()
      local hook = sample.hook(hooks, receiver.url .. "/status/500", {
        max_in_flight = 1, breaker = { failures = 3, pause = HOUR, max_pause = HOUR },
      })
      emit(10)
      wait_for("the breaker", function() return hooks:poll() and records.webhook_failing end)
      let_another_pass()
      assert.equal(3, receiver:total("/status/500"))
      assert.is_nil(records.webhook_works)
      assert(hooks.webhooks:update(hook.id, { url = receiver.url .. "/ok" }))
      assert.is_true(hooks:drain(PATIENCE))
      wait_for("the record", function() return hooks:poll() and records.webhook_works end)
      assert.equal(3, receiver:total("/status/500"))
      assert.equal(7, succeeded(hook))
      assert.equal(1, records.webhook_failing)
      assert.equal(1, records.webhook_works)
    end)

    it("is probed by itself until it works", function()
      open()
      local hook = sample.hook(hooks, receiver.url .. "/outage/5", {
        max_in_flight = 1, breaker = { failures = 3, pause = 0.02, max_pause = 0.1 },
      })
      emit(20)
      assert.is_true(hooks:drain(PATIENCE))
      assert.equal(15, succeeded(hook))
      assert.equal(20, receiver:total("/outage/5"))
      hooks:poll()
      assert.equal(1, records.webhook_failing)
      assert.equal(1, records.webhook_works)
    end)

    it("that is false is called as often as there are events", function()
      open({ breaker = { failures = 1, pause = HOUR, max_pause = HOUR } })
      sample.hook(hooks, receiver.url .. "/status/500", { breaker = false })
      emit(30)
      assert.is_true(hooks:drain(PATIENCE))
      assert.equal(30, receiver:total("/status/500"))
      hooks:poll()
      assert.is_nil(records.webhook_failing)
    end)
  end)

  describe("with disable_after", function()
    it("is disabled when nothing but failures came for so long, and can be recovered", function()
      local told = {}
      open({ on_disabled = function(id, reason) told[#told + 1] = { id, reason } end })
      local hook = sample.hook(hooks, receiver.url .. "/status/500", { disable_after = 0.001, retry = { HOUR } })
      assert.equal(1, emit(1)[1].deliveries)
      wait_total("/status/500", 1)
      wait_for("the first failure", function() return hooks.webhooks:get(hook.id).failing_since end)
      wait_for("the end", function()
        local before = receiver:total("/status/500")
        if emit(1)[1].deliveries == 0 then return true end
        wait_total("/status/500", before + 1)
      end)
      local record = hooks.webhooks:get(hook.id)
      assert.is_false(record.enabled)
      assert.truthy(record.disabled_reason:find("every attempt failed for", 1, true), record.disabled_reason)
      hooks:poll()
      assert.same({ { hook.id, record.disabled_reason } }, told)
      assert.equal(1, records.webhook_disabled)
      local log = hooks.log:where({ webhook_id = hook.id })
      local all = log:count()
      assert.equal(all, log:where({ status = "canceled" }):count())
      for _, delivery in log:each() do assert.equal(record.disabled_reason, delivery.reason) end
      assert.same({ nil, "disabled" }, { select(1, hooks:recover(hook.id)), select(3, hooks:recover(hook.id)) })
      record = assert(hooks.webhooks:update(hook.id, { enabled = true, url = receiver.url .. "/ok" }))
      assert.is_nil(record.disabled_reason)
      assert.is_nil(record.failing_since)
      assert.equal(all, hooks:recover(hook.id))
      assert.is_true(hooks:drain(PATIENCE))
      assert.equal(all, succeeded(hook))
    end)

    it("that is false is never disabled", function()
      open({ disable_after = 0.001, breaker = false })
      local hook = sample.hook(hooks, receiver.url .. "/status/500", { disable_after = false })
      for _ = 1, 5 do assert.equal("failed", sample.deliver(hooks).status) end
      assert.is_true(hooks.webhooks:get(hook.id).enabled)
    end)
  end)

  for name, stop in pairs({
    disabled = function(id) return hooks.webhooks:update(id, { enabled = false }) end,
    deleted = function(id) return hooks.webhooks:delete(id) end,
  }) do
    it("that is " .. name .. " gets nothing of what waits, and the log says why", function()
      open()
      local hook = sample.hook(hooks, receiver.url .. "/hang", { max_in_flight = 1 })
      emit(10)
      wait_total("/hang", 1)
      assert(hooks:emit(sample.job_finished(), { durable = false }))
      assert(stop(hook.id))
      let_another_pass()
      assert.equal(1, receiver:total("/hang"))
      local canceled = hooks.log:where({ webhook_id = hook.id, status = "canceled" })
      assert.equal(11, canceled:count())
      for _, delivery in canceled:each() do assert.equal("the webhook was " .. name, delivery.reason) end
    end)
  end

  it("with 100,000 deliveries that wait does not keep another's from arriving", function()
    open()
    local long = sample.hook(hooks, receiver.url .. "/slow/20")
    local short = { event = "job_finished", data = { appId = sample.app_id } }
    local batch = {}
    for index = 1, 2000 do batch[index] = short end
    for _ = 1, 50 do assert(hooks:emit_all(batch)) end
    let_another_pass()
    local waiting = hooks.log:where({ webhook_id = long.id, status = "pending" }):count()
    assert.is_true(waiting > 50000, waiting .. " were left")
  end)
end)
