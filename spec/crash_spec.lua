local process = require("spec.support.process")
local sample = require("spec.support.sample")
local shell = require("spec.support.shell")
local start_receiver = require("spec.support.receiver").start
local temp = require("spec.support.temp")
local wait = require("spec.support.wait")
local webhook = require("webhook")
local with = require("spec.support.with")

-- arg: database, number of events, lease, "stay" to wait for the end after the emits.
local CHILD = [[
local webhook = require("webhook")
local hooks = assert(webhook.open(arg[1], { allow_networks = { "127.0.0.0/8" }, lease = tonumber(arg[3]) }))
local left = tonumber(arg[2])
while left > 0 do
  local list = {}
  for index = 1, math.min(left, 500) do
    list[index] = webhook.events.job_finished({ id = tostring(left - index), appId = "app" })
  end
  assert(hooks:emit_all(list))
  left = left - #list
end
print("emitted")
io.stdout:flush()
if arg[4] == "stay" then
  hooks:drain()
end
assert(hooks:drain(60))
local counts = hooks.log:where({ status = "succeeded" })
print("succeeded " .. counts:count())
assert(hooks:close())
]]

describe("many events", function()
  local receiver, folder, database

  setup(function()
    receiver = start_receiver()
  end)

  teardown(function()
    receiver:stop()
  end)

  before_each(function()
    receiver:reset()
    folder = temp.folder()
    database = folder:file("webhooks.db")
    shell.write_file(folder:file("child.lua"), CHILD)
  end)

  after_each(function()
    folder:remove()
  end)

  local function start(...)
    return process.start(folder:file("child.lua"), { args = { database, ... } })
  end

  local function create(path)
    with(sample.open(folder), function(hooks)
      sample.hook(hooks, receiver.url .. path, { app_id = "app" })
    end)
  end

  -- Every delivery of the log arrived `at most` so many times, at least once, and succeeded.
  local function check(hooks, expected, most)
    local ids = receiver:ids()
    local logged, wrong = 0, {}
    for id, delivery in hooks.log:each() do
      logged = logged + 1
      local count = ids[id] or 0
      if delivery.status ~= "succeeded" or count < 1 or count > most then
        wrong[#wrong + 1] = ("%s %s %d"):format(id, delivery.status, count)
      end
      ids[id] = nil
    end
    assert.equal("", table.concat(wrong, "\n", 1, math.min(#wrong, 10)))
    assert.equal(expected, logged)
    assert.equal(expected, #hooks.log)
    assert.is_nil(next(ids))
  end

  it("of one process arrive exactly once each", function()
    with(sample.open(folder), function(hooks)
      sample.hook(hooks, receiver.url .. "/ok")
      local list = {}
      for index = 1, 10000 do
        list[index] = webhook.events.job_finished({ id = tostring(index), appId = sample.app_id })
      end
      assert.equal(10000, #assert(hooks:emit_all(list)))
      assert.is_true(hooks:drain(60))
      check(hooks, 10000, 1)
      assert.equal(10000, receiver:total())
    end)
  end)

  it("of two processes that share a database arrive exactly once each", function()
    create("/ok")
    with(start("5000", "15"), function(first)
      with(start("5000", "15"), function(second)
        assert.equal(0, first:wait(60), first:output())
        assert.equal(0, second:wait(60), second:output())
      end)
    end)
    with(sample.open(folder), function(hooks)
      assert.is_true(hooks:drain(60))
      check(hooks, 10000, 1)
      assert.equal(10000, receiver:total())
    end)
  end)

  it("survive a kill -9 of the process that emitted them", function()
    create("/slow/5")
    with(start("5000", "2", "stay"), function(child)
      wait.for_condition("the emits", 30, function()
        assert(child:running(), child:output())
        return child:stdout():find("emitted", 1, true) and receiver:stats("/slow/5").active > 0
      end)
      child:kill("KILL")
      assert.equal(137, child:wait(10))
    end)
    assert.is_true(receiver:total() < 5000, "all were sent before the kill")
    with(sample.open(folder, { lease = 2 }), function(hooks)
      wait.for_condition("every delivery", 60, function()
        assert(hooks:drain(60))
        return hooks:stats().pending == 0
      end)
      check(hooks, 5000, 2)
    end)
  end)
end)
