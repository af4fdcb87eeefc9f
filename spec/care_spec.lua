local raises = require("spec.support.raises")
local sample = require("spec.support.sample")
local shell = require("spec.support.shell")
local socket = require("socket")
local start_receiver = require("spec.support.receiver").start
local temp = require("spec.support.temp")
local wait = require("spec.support.wait")
local webhook = require("webhook")

describe("the delivery log", function()
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

  local function emit(count, options)
    local list = {}
    for index = 1, count do
      list[index] = sample.job_finished()
    end
    assert(hooks:emit_all(list, options))
    assert.is_true(hooks:drain(20))
  end

  -- Of the database and its log. Not opened here: closing the file would drop this process's locks on it.
  local function bytes_on_disk()
    local total = 0
    for size in shell.check("stat -c %s " .. shell.quote(folder.path) .. "/webhooks.db*"):gmatch("%d+") do
      total = total + tonumber(size)
    end
    return total
  end

  describe("when pruned", function()
    it("forgets what is finished and older, and nothing that is pending", function()
      open({ timeout = 10 })
      local hook = sample.hook(hooks, receiver.url .. "/ok")
      emit(3)
      assert(hooks.webhooks:update(hook.id, { url = receiver.url .. "/status/500" }))
      emit(1)
      assert(hooks.webhooks:update(hook.id, { url = receiver.url .. "/hang" }))
      assert(hooks:emit(sample.job_finished()))
      assert.equal(0, hooks:prune({ older_than = 60 }))
      assert.equal(5, #hooks.log)
      local delivery = select(2, hooks.log:where({ status = "failed" }):each()())
      assert.equal(4, hooks:prune({ older_than = 0 }))
      assert.equal(1, #hooks.log)
      assert.equal(1, #hooks.log:where({ status = "pending" }))
      assert.is_nil(hooks.log[delivery.id])
      assert.same({}, delivery.attempts)
      assert.same({ nil, "not_found" }, { select(1, delivery:resend()), select(3, delivery:resend()) })
    end)

    it("forgets as many as it is told, the oldest first", function()
      open()
      sample.hook(hooks, receiver.url .. "/ok")
      emit(5)
      local newest = hooks.log:each()()
      assert.equal(3, hooks:prune({ older_than = 0, limit = 3 }))
      assert.equal(2, #hooks.log)
      assert.truthy(hooks.log[newest])
      assert.equal(2, hooks:prune({ older_than = 0, limit = 3 }))
      assert.equal(0, #hooks.log)
    end)

    it("goes in steps, and says how far it came", function()
      open()
      sample.hook(hooks, receiver.url .. "/ok")
      emit(600)
      local seen = {}
      assert.equal(600, hooks:prune({
        older_than = 0,
        progress = function(done)
          seen[#seen + 1] = done
          -- a step holds nothing back: an event gets through between two of them
          if #seen == 1 then
            sample.deliver(hooks)
          end
        end,
      }))
      assert.is_true(#seen > 2, "in " .. #seen .. " steps")
      for index = 2, #seen do
        assert.is_true(seen[index] > seen[index - 1])
      end
      assert.equal(600, seen[#seen])
      assert.equal(1, #hooks.log)
    end)

    it("stops at an error in the progress function, and survives a close in it", function()
      open()
      sample.hook(hooks, receiver.url .. "/ok")
      emit(600)
      local ok, message = pcall(hooks.prune, hooks, {
        older_than = 0,
        progress = function()
          error("enough", 0)
        end,
      })
      assert.is_false(ok)
      assert.equal("enough", message)
      assert.is_true(#hooks.log < 600 and #hooks.log > 0)
      ok, message = pcall(hooks.prune, hooks, {
        older_than = 0,
        progress = function()
          hooks:close()
        end,
      })
      assert.is_false(ok)
      assert.truthy(message:find("closed dispatcher", 1, true), message)
    end)

    it("frees the idempotency keys, also of events that went nowhere", function()
      open()
      local nowhere = assert(hooks:emit(sample.job_finished(), { id = "nowhere" }))
      sample.hook(hooks, receiver.url .. "/ok")
      local first = assert(hooks:emit(sample.job_finished(), { id = "key" }))
      assert.is_true(hooks:drain(10))
      assert.equal(1, hooks:prune({ older_than = 0 }))
      for key, old in pairs({ nowhere = nowhere, key = first }) do
        local again = assert(hooks:emit(sample.job_finished(), { id = key }))
        assert.is_false(again.duplicate)
        assert.are_not.equal(old.id, again.id)
      end
    end)

    it("raises at the caller's line for what it does not know", function()
      open()
      raises("unknown option 'older_then' (did you mean 'older_than'?)", function()
        hooks:prune({ older_then = 1 })
      end)
      raises("'older_than' is missing", function()
        hooks:prune({})
      end)
      raises("'older_than' must be 0", function()
        hooks:prune({ older_than = -1 })
      end)
      raises("'limit' must be 1", function()
        hooks:prune({ older_than = 1, limit = 0 })
      end)
      hooks:close()
      raises("closed dispatcher", function()
        hooks:prune({ older_than = 1 })
      end)
    end)

    it("works in memory", function()
      hooks = assert(webhook.open(":memory:", { allow_networks = sample.LOCAL, retry = false }))
      sample.hook(hooks, receiver.url .. "/ok")
      emit(2)
      assert.equal(2, hooks:prune({ older_than = 0 }))
      assert.equal(0, #hooks.log)
    end)
  end)

  describe("with a retention", function()
    local DAY = 86400

    it("forgets what is finished and older by itself, and nothing that is pending", function()
      open({ retention = 0.5 / DAY, timeout = 20 })
      local hook = sample.hook(hooks, receiver.url .. "/ok")
      emit(400)
      assert(hooks.webhooks:update(hook.id, { url = receiver.url .. "/hang" }))
      assert(hooks:emit(sample.job_finished()))
      wait.for_condition("the log to be pruned", 20, function()
        return #hooks.log == 1
      end)
      assert.equal(1, #hooks.log:where({ status = "pending" }))
      assert.equal(1, receiver:stats("/hang").active)
    end)

    it("keeps what is not that old", function()
      open({ retention = 1 })
      sample.hook(hooks, receiver.url .. "/ok")
      emit(3)
      socket.sleep(1.2)
      assert.equal(3, #hooks.log)
    end)

    it("is said in days, more than none", function()
      raises("option 'retention' must be positive", function()
        webhook.open(folder:file("webhooks.db"), { retention = 0 })
      end)
    end)

    it("shrinks the file while it is open", function()
      open({ retention = 0.5 / DAY })
      sample.hook(hooks, receiver.url .. "/ok")
      local large = { event = "job_finished", data = { appId = sample.app_id, stack = ("x"):rep(20000) } }
      for _ = 1, 10 do
        local list = {}
        for index = 1, 30 do
          list[index] = large
        end
        assert(hooks:emit_all(list))
      end
      assert.is_true(hooks:drain(20))
      wait.for_condition("small files", 20, function()
        return bytes_on_disk() < 1000000
      end)
      assert.equal(0, #hooks.log)
    end)
  end)

  it("leaves small files after a prune and a close", function()
    open()
    sample.hook(hooks, receiver.url .. "/ok")
    local large = { event = "job_finished", data = { appId = sample.app_id, stack = ("x"):rep(20000) } }
    for _ = 1, 200 do
      assert(hooks:emit(large, { durable = false }))
    end
    assert(hooks:flush(10))
    assert.is_true(hooks:drain(20))
    assert.is_true(bytes_on_disk() > 4000000)
    assert.equal(200, hooks:prune({ older_than = 0 }))
    assert(hooks:close())
    assert.is_true(bytes_on_disk() < 300000, bytes_on_disk() .. " bytes are left")
  end)

  describe("when resent", function()
    it("goes in steps, and says how far it came", function()
      open({ connections = 64, breaker = false })
      local hook = sample.hook(hooks, receiver.url .. "/status/500")
      emit(1100)
      assert(hooks.webhooks:update(hook.id, { url = receiver.url .. "/ok" }))
      local seen = {}
      assert.equal(1100, hooks.log:where({ status = "failed" }):resend({
        progress = function(done)
          seen[#seen + 1] = done
        end,
      }))
      assert.same({ 500, 1000, 1100 }, seen)
      assert.is_true(hooks:drain(20))
      assert.equal(1100, receiver:total("/ok"))
      raises("unknown option 'progres'", function()
        hooks.log:resend({ progres = print })
      end)
    end)

    it("ends, also while events come", function()
      open()
      sample.hook(hooks, receiver.url .. "/ok")
      emit(600)
      local steps = 0
      local count = hooks.log:resend({
        progress = function()
          steps = steps + 1
          emit(300)
        end,
      })
      assert.is_true(count <= 600, count .. " were resent")
      assert.is_true(steps <= 2)
    end)

    it("survives a close in the progress function", function()
      open()
      sample.hook(hooks, receiver.url .. "/ok")
      emit(1)
      local ok, message = pcall(hooks.log.resend, hooks.log, {
        progress = function()
          hooks:close()
        end,
      })
      assert.is_false(ok)
      assert.truthy(message:find("closed dispatcher", 1, true), message)
    end)
  end)

  describe("when recovered", function()
    local hook, other

    -- Five that failed, a moment, five more, and five that were canceled.
    local function outage()
      open({ connections = 1 })
      hook = sample.hook(hooks, receiver.url .. "/status/500")
      other = sample.hook(hooks, receiver.url .. "/status/501")
      emit(5)
      socket.sleep(0.01)
      local since = math.floor(socket.gettime() * 1000)
      socket.sleep(0.01)
      emit(5)
      assert(hooks.webhooks:update(hook.id, { url = receiver.url .. "/hang" }))
      assert(hooks.webhooks:update(other.id, { enabled = false }))
      for _ = 1, 5 do
        assert(hooks:emit(sample.job_finished()))
      end
      assert(hooks.webhooks:update(hook.id, { enabled = false }))
      assert.equal(5, hooks.log:where({ webhook_id = hook.id, status = "canceled" }):count())
      -- the request that hangs would hold the only connection
      hooks:close(0)
      open({ connections = 1 })
      assert(hooks.webhooks:update(hook.id, { url = receiver.url .. "/slow/3", enabled = true }))
      return since
    end

    it("sends again what failed or was canceled since then, oldest first", function()
      local since = outage()
      local seen
      assert.equal(10, hooks:recover(hook.id, {
        since = since,
        progress = function(done)
          seen = done
        end,
      }))
      assert.equal(10, seen)
      assert.is_true(hooks:drain(20))
      assert.equal(10, receiver:total("/slow/3"))
      local log = hooks.log:where({ webhook_id = hook.id })
      assert.equal(10, log:where({ status = "succeeded" }):count())
      assert.equal(5, log:where({ status = "failed" }):count())
      local later
      for _, delivery in log:where({ status = "succeeded" }):each() do -- newest first
        assert.equal("resend", delivery.attempt_count > 1 and delivery.trigger or "resend")
        assert.is_true(later == nil or delivery.sent_at < later, "out of order")
        later = delivery.sent_at
      end
      assert.equal(10, hooks.log:where({ webhook_id = other.id, status = "failed" }):count())
    end)

    it("sends all of them again without a moment, and none twice", function()
      outage()
      assert.equal(15, hooks:recover(hook.id))
      assert.is_true(hooks:drain(20))
      assert.equal(0, hooks:recover(hook.id))
      assert.equal(15, receiver:total("/slow/3"))
    end)

    it("needs a webhook that is there and enabled", function()
      outage()
      for id, expected in pairs({ [other.id] = "disabled", nonsense = "not_found" }) do
        local count, message, code = hooks:recover(id)
        assert.is_nil(count)
        assert.is_string(message)
        assert.equal(expected, code)
      end
      raises("option 'since' must be integer", function()
        hooks:recover(hook.id, { since = "yesterday" })
      end)
      raises("a webhook's id expected", function()
        hooks:recover(hook)
      end)
    end)
  end)

  describe("when resumed", function()
    local hook, other

    -- One delivery that failed, and `count` that were canceled, for each of two webhooks.
    local function disable(count)
      open({ connections = 1, max_in_flight = 1 })
      hook = sample.hook(hooks, receiver.url .. "/status/500")
      other = sample.hook(hooks, receiver.url .. "/status/500")
      emit(1)
      assert(hooks.webhooks:update(hook.id, { url = receiver.url .. "/hang" }))
      assert(hooks.webhooks:update(other.id, { url = receiver.url .. "/hang" }))
      local list = {}
      for index = 1, count do
        list[index] = sample.job_finished()
      end
      assert(hooks:emit_all(list))
      for _, webhook_id in ipairs({ hook.id, other.id }) do
        assert(hooks.webhooks:update(webhook_id, { enabled = false, url = receiver.url .. "/ok" }))
        assert.equal(count, hooks.log:where({ webhook_id = webhook_id, status = "canceled" }):count())
      end
      -- the request that hangs would hold the only connection
      hooks:close(0)
      open({ connections = 1, max_in_flight = 1 })
    end

    it("is enabled, and gets what was canceled meanwhile, oldest first", function()
      disable(5)
      local seen
      assert.equal(5, hooks:resume(hook.id, {
        progress = function(done)
          seen = done
        end,
      }))
      assert.equal(5, seen)
      assert.is_true(hooks.webhooks:get(hook.id).enabled)
      assert.is_true(hooks:drain(20))
      assert.equal(5, receiver:total("/ok"))
      local log = hooks.log:where({ webhook_id = hook.id })
      assert.equal(5, log:where({ status = "succeeded" }):count())
      assert.equal(1, log:where({ status = "failed" }):count())
      local expected = {}
      for id in log:where({ status = "succeeded" }):each() do -- newest first
        table.insert(expected, 1, id)
      end
      assert.same(expected, receiver:order("/ok"))
      assert.is_false(hooks.webhooks:get(other.id).enabled)
      assert.equal(5, hooks.log:where({ webhook_id = other.id, status = "canceled" }):count())
      assert.equal(0, hooks:resume(hook.id))
    end)

    it("loses the reason why it was disabled", function()
      open()
      hook = sample.hook(hooks, receiver.url .. "/status/410")
      sample.deliver(hooks)
      assert.is_string(hooks.webhooks:get(hook.id).disabled_reason)
      assert.equal(0, hooks:resume(hook.id))
      local record = hooks.webhooks:get(hook.id)
      assert.is_true(record.enabled)
      assert.is_nil(record.disabled_reason)
    end)

    it("goes in steps, also for a webhook that was enabled before", function()
      disable(600)
      assert(hooks.webhooks:update(hook.id, { enabled = true, max_in_flight = 16 }))
      local seen = {}
      assert.equal(600, hooks:resume(hook.id, {
        progress = function(done)
          seen[#seen + 1] = done
        end,
      }))
      assert.same({ 500, 600 }, seen)
    end)

    it("has to be there", function()
      open()
      assert.same({ nil, "not_found" }, { select(1, hooks:resume("nonsense")), select(3, hooks:resume("nonsense")) })
      raises("a webhook's id expected", function()
        hooks:resume()
      end)
      raises("unknown option 'since'", function()
        hooks:resume("nonsense", { since = 1 })
      end)
      hooks:close()
      raises("closed dispatcher", function()
        hooks:resume("nonsense")
      end)
    end)
  end)
end)
