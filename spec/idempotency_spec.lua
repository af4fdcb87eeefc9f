local process = require("spec.support.process")
local raises = require("spec.support.raises")
local sample = require("spec.support.sample")
local shell = require("spec.support.shell")
local socket = require("socket")
local start_receiver = require("spec.support.receiver").start
local temp = require("spec.support.temp")
local webhook = require("webhook")
local with = require("spec.support.with")

-- arg: database, number of keys, the moment of the first; the others follow every 10 ms.
-- Prints a line for each key: its message, and who was first.
local CHILD = [[
local socket = require("socket")
local webhook = require("webhook")
local hooks = assert(webhook.open(arg[1], { allow_networks = { "127.0.0.0/8" } }))
local event = webhook.events.job_finished({ id = "1", appId = "app" })
for key = 1, tonumber(arg[2]) do
  socket.sleep(math.max(0, tonumber(arg[3]) + key / 100 - socket.gettime()))
  local message = assert(hooks:emit(event, { id = "key " .. key }))
  print(message.id, message.duplicate and "duplicate" or "first")
end
assert(hooks:drain(60))
assert(hooks:close())
]]

describe("an idempotency key", function()
  local receiver, folder

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
    folder:remove()
  end)

  it("may be used again after its window, and not before", function()
    with(sample.open(folder, { idempotency_window = 0.5 }), function(hooks)
      sample.hook(hooks, receiver.url .. "/ok")
      local function emit()
        return assert(hooks:emit(sample.job_finished(), { id = "key" }))
      end
      local first, again = emit(), emit()
      assert.is_true(again.duplicate)
      assert.equal(first.id, again.id)
      socket.sleep(0.6)
      local second = emit()
      assert.is_false(second.duplicate)
      assert.equal(1, second.deliveries)
      assert.are_not.equal(first.id, second.id)
      again = emit()
      assert.is_true(again.duplicate)
      assert.equal(second.id, again.id)
      assert.is_true(hooks:drain(10))
      assert.equal(2, receiver:total())
      assert.equal(2, #hooks.log)
    end)
  end)

  it("holds for a day unless it is said otherwise", function()
    with(sample.open(folder, { idempotency_window = 0.1 }), function(hooks)
      assert(hooks:emit(sample.job_finished(), { id = "key" }))
    end)
    socket.sleep(0.2)
    with(sample.open(folder), function(hooks)
      assert.is_true(assert(hooks:emit(sample.job_finished(), { id = "key" })).duplicate)
    end)
    raises("option 'idempotency_window' must be positive", function()
      webhook.open(folder:file("webhooks.db"), { idempotency_window = -1 })
    end)
  end)

  it("belongs to its app", function()
    with(sample.open(folder), function(hooks)
      for _, app_id in ipairs({ "one", "two" }) do
        assert.is_false(assert(hooks:emit(sample.job_finished(), { id = "key", app_id = app_id })).duplicate)
      end
    end)
  end)

  it("works for events that nobody waits for", function()
    with(sample.open(folder), function(hooks)
      sample.hook(hooks, receiver.url .. "/ok")
      for _ = 1, 5 do
        assert(hooks:emit(sample.job_finished(), { id = "key", durable = false }))
      end
      assert(hooks:flush(10))
      assert.is_true(hooks:drain(10))
      assert.equal(1, receiver:total())
    end)
  end)

  it("is sent once by two processes at the same moment", function()
    local KEYS = 200
    shell.write_file(folder:file("child.lua"), CHILD)
    with(sample.open(folder), function(hooks)
      sample.hook(hooks, receiver.url .. "/ok", { app_id = "app" })
    end)
    local options = { args = { folder:file("webhooks.db"), tostring(KEYS), ("%.3f"):format(socket.gettime() + 1) } }
    local function lines(child)
      assert.equal(0, child:wait(60), child:output())
      local ids, firsts = {}, 0
      for id, which in child:stdout():gmatch("(%S+)%s+(%S+)\n") do
        ids[#ids + 1] = id
        firsts = firsts + (which == "first" and 1 or 0)
      end
      assert.equal(KEYS, #ids)
      return ids, firsts
    end
    with(process.start(folder:file("child.lua"), options), function(one)
      with(process.start(folder:file("child.lua"), options), function(two)
        local ids, firsts = lines(one)
        local others, other_firsts = lines(two)
        assert.same(ids, others)
        assert.equal(KEYS, firsts + other_firsts)
        assert.is_true(firsts > 0 and other_firsts > 0, ("%d and %d were first"):format(firsts, other_firsts))
      end)
    end)
    assert.equal(KEYS, receiver:total())
    with(sample.open(folder), function(hooks)
      assert.equal(KEYS, #hooks.log)
    end)
  end)
end)
