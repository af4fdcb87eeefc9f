local raises = require("spec.support.raises")
local sample = require("spec.support.sample")
local start_receiver = require("spec.support.receiver").start
local temp = require("spec.support.temp")
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
end)
