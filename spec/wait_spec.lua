-- The function `wait`, hooks:fd and hooks:step: for event loops other than nginx's.
local flavour = require("spec.support.flavour")
local process = require("spec.support.process")
local sample = require("spec.support.sample")
local socket = require("socket")
local start_receiver = require("spec.support.receiver").start
local temp = require("spec.support.temp")
local wait = require("spec.support.wait")
local webhook = require("webhook")
local with = require("spec.support.with")

local LONG = 20 -- seconds

-- A descriptor as socket.select wants it.
local function selectable(fd)
  return { getfd = function() return fd end, dirty = function() return false end }
end

local function readable(fd, seconds)
  return #(socket.select({ selectable(fd) }, nil, seconds)) == 1
end

-- An event loop in a few lines: coroutines that wait for a descriptor or a time, whichever comes first.
local function new_loop()
  local loop = { waiting = {}, waits = 0 }

  function loop.wait(fd, seconds)
    assert(type(fd) == "number" and fd >= 0 and seconds > 0)
    loop.waits = loop.waits + 1
    coroutine.yield(fd, socket.gettime() + seconds)
  end

  function loop.resume(thread)
    local ok, fd, till = coroutine.resume(thread)
    if not ok then
      error(debug.traceback(thread, tostring(fd)), 0)
    end
    loop.waiting[thread] = fd and { fd = fd, till = till } or nil
  end

  function loop.spawn(fn)
    local thread = coroutine.create(fn)
    loop.resume(thread)
    return thread
  end

  function loop.run()
    local deadline = socket.gettime() + LONG
    while next(loop.waiting) do
      assert(socket.gettime() < deadline, "the loop does not end")
      local ready, sockets, first = {}, {}, deadline
      for _, what in pairs(loop.waiting) do
        sockets[#sockets + 1] = selectable(what.fd)
        first = math.min(first, what.till)
      end
      for _, one in ipairs((socket.select(sockets, nil, math.max(0, first - socket.gettime())))) do
        ready[one.getfd()] = true
      end
      local due = {}
      for thread, what in pairs(loop.waiting) do
        if ready[what.fd] or what.till <= socket.gettime() then
          due[#due + 1] = thread
        end
      end
      for _, thread in ipairs(due) do
        loop.resume(thread)
      end
    end
  end

  return loop
end

describe("a function to wait with", function()
  local receiver, folder, loop

  setup(function()
    receiver = start_receiver()
  end)

  teardown(function()
    receiver:stop()
  end)

  before_each(function()
    receiver:reset()
    folder = temp.folder()
    loop = new_loop()
  end)

  after_each(function()
    folder:remove()
  end)

  -- Runs fn in a coroutine of the loop, with a dispatcher that waits by it, until all coroutines are done.
  local function in_loop(fn, options)
    local ended = false
    loop.spawn(function()
      local all = { wait = loop.wait }
      for name, value in pairs(options or {}) do
        all[name] = value
      end
      local hooks = sample.open(folder, all)
      fn(hooks)
      assert(hooks:close())
      ended = true
    end)
    loop.run()
    assert.is_true(ended)
  end

  it("serves all that takes a while", function()
    in_loop(function(hooks)
      local hook = sample.hook(hooks, receiver.url .. "/status/400")
      local calls = {
        function() return hooks:emit(sample.job_finished()) end,
        function() return hooks:flush(LONG) end,
        function() return hooks:drain(LONG) end,
        function() return hooks:stats() end,
        function() return hooks:metrics() end,
        function() return hooks.log:count() == 1 end,
        function() return hooks.log:each()() end,
        function() return hooks.log:where({ status = "failed" }):resend() == 1 end,
        function() return hooks:send_test(hook.id, "job_created") end,
        function() return hooks:drain(LONG) end,
        function() return hooks:recover(hook.id) == 2 end,
        function() return hooks:resume(hook.id) == 0 end,
        function() return hooks:drain(LONG) end,
        function() return hooks:prune({ older_than = 0 }) == 2 end,
      }
      for index, call in ipairs(calls) do
        assert(call(), index)
      end
    end)
    assert.is_true(loop.waits > 0) -- a call may be ready at once, but a commit takes its time
  end)

  it("lets other coroutines call meanwhile", function()
    in_loop(function(hooks)
      sample.hook(hooks, receiver.url .. "/hang")
      assert(hooks:emit(sample.job_finished()))
      local order = {}
      loop.spawn(function()
        hooks:drain(LONG) -- until the dispatcher is closed
        order[#order + 1] = "drained"
      end)
      for _ = 1, 3 do
        loop.spawn(function()
          assert(hooks:emit(sample.job_finished(), { app_id = "nobody" }))
          assert(hooks:flush(LONG))
          order[#order + 1] = "emit"
        end)
      end
      while #order < 3 do
        loop.wait(hooks:fd(), 0.01)
      end
      assert.same({ "emit", "emit", "emit" }, order)
      assert(hooks:close(0))
    end)
  end)

  it("says when the time of a drain is up", function()
    in_loop(function(hooks)
      sample.hook(hooks, receiver.url .. "/hang")
      assert(hooks:emit(sample.job_finished()))
      local ok, problem, left = hooks:drain(0.05)
      assert.is_nil(ok)
      assert.equal("timeout", problem)
      assert.equal(1, left)
    end, { close_timeout = 0 })
  end)

  it("may raise, and the event is stored nevertheless", function()
    local fail = false
    local hooks = sample.open(folder, {
      wait = function(fd, seconds)
        if fail then
          error("canceled", 0)
        end
        readable(fd, seconds)
      end,
    })
    fail = true
    local ok, problem = pcall(hooks.emit, hooks, sample.job_finished())
    fail = false
    assert.is_false(ok)
    assert.equal("canceled", problem)
    collectgarbage()
    assert(hooks:flush(LONG))
    assert.equal(1, hooks:stats().events)
    assert(hooks:close())
  end)

  it("may leave a coroutine for ever", function()
    local hooks
    do
      local thread = coroutine.create(function()
        hooks = sample.open(folder, { wait = function() coroutine.yield() end })
        hooks.way.fn = function() coroutine.yield("emits") end
        hooks:emit(sample.job_finished())
      end)
      local ok, where
      repeat
        ok, where = coroutine.resume(thread)
        assert(ok, where)
      until where == "emits"
    end
    collectgarbage()
    collectgarbage()
    hooks.way.fn = readable
    assert(hooks:flush(LONG))
    assert.equal(1, hooks:stats().events)
    assert.is_false(readable(hooks:fd(), 0))
    assert(hooks:close())
  end)

  it("is not called where no coroutine can yield", function()
    if flavour.interpreter == "lua5.1" then
      return -- it cannot tell
    end
    in_loop(function(hooks)
      local before, message = loop.waits, nil
      local _ = ("x"):gsub("x", function()
        message = hooks:emit(sample.job_finished())
      end)
      assert.is_true(message.durable)
      assert.equal(before, loop.waits)
    end)
  end)

  it("must be a function", function()
    assert.has_error(function()
      webhook.open(":memory:", { wait = 1 })
    end)
  end)

  it("works with cqueues, as in the example", function()
    if not pcall(require, "cqueues") then
      pending("cqueues is not installed (script/bootstrap test installs it)")
      return
    end
    with(process.start("examples/cqueues.lua", { args = { receiver.url .. "/slow/300" } }), function(child)
      assert.equal(0, child:wait(LONG), child:output())
      local turns, delivered = child:stdout():match("^turns meanwhile\t(%d+)\ndelivered\t(%d+)")
      assert.equal("1", delivered)
      assert.is_true(tonumber(turns) > 10)
    end)
  end)
end)

describe("a dispatcher's descriptor", function()
  local receiver, folder

  setup(function()
    receiver = start_receiver()
  end)

  teardown(function()
    receiver:stop()
  end)

  before_each(function()
    folder = temp.folder()
  end)

  after_each(function()
    folder:remove()
  end)

  it("is readable while records wait for the logger, which step calls", function()
    local records = {}
    local hooks = sample.open(folder, { logger = function(record) records[#records + 1] = record end })
    sample.hook(hooks, receiver.url .. "/status/400")
    local fd = hooks:fd()
    assert.equal(fd, hooks:fd())
    assert.is_false(readable(fd, 0))
    assert(hooks:emit(sample.job_finished()))
    assert.is_true(readable(fd, LONG))
    assert.equal(0, #records)
    assert.equal(1, hooks:step())
    assert.equal("delivery_failed", records[1].event)
    assert.is_false(readable(fd, 0))
    assert.equal(0, hooks:step())
    assert(hooks:close())
  end)

  it("stays quiet without a logger", function()
    local hooks = sample.open(folder)
    sample.hook(hooks, receiver.url .. "/status/400")
    assert(hooks:emit(sample.job_finished()))
    wait.for_condition("the failure", LONG, function()
      return hooks.log:where({ status = "failed" }):count() == 1
    end)
    assert.is_false(readable(hooks:fd(), 0))
    assert(hooks:close())
  end)
end)
