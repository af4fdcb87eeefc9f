local flavour = require("spec.support.flavour")
local process = require("spec.support.process")
local sample = require("spec.support.sample")
local shell = require("spec.support.shell")
local socket = require("socket")
local start_receiver = require("spec.support.receiver").start
local temp = require("spec.support.temp")
local wait = require("spec.support.wait")
local with = require("spec.support.with")

local PRELUDE = [[
local webhook = require("webhook")
local function open()
  return assert(webhook.open(arg[1], { allow_networks = { "127.0.0.0/8" }, close_timeout = 1, retry = false }))
end
local function event(id)
  return webhook.events.job_finished({ id = tostring(id or 1), appId = "app" })
end
]]

describe("a dispatcher", function()
  local receiver, folder, hook

  setup(function()
    receiver = start_receiver()
  end)

  teardown(function()
    receiver:stop()
  end)

  before_each(function()
    receiver:reset()
    folder = temp.folder()
    with(sample.open(folder), function(hooks)
      hook = sample.hook(hooks, receiver.url .. "/ok", { app_id = "app" })
    end)
  end)

  after_each(function()
    folder:remove()
  end)

  local function start(script, before)
    shell.write_file(folder:file("child.lua"), (before or "") .. PRELUDE .. script)
    return process.start(folder:file("child.lua"), { args = { folder:file("webhooks.db") } })
  end

  -- `before` stands in front of the prelude, where the module is not loaded yet.
  local function run(script, code, before)
    return with(start(script, before), function(child)
      assert.equal(code or 0, child:wait(20), child:output())
      return child:stdout(), child:stderr()
    end)
  end

  local function point_to(path)
    with(sample.open(folder), function(hooks)
      assert(hooks.webhooks:update(hook.id, { url = receiver.url .. path }))
      assert(hooks:close(0)) -- it may have begun requests that hang
    end)
  end

  -- The next process delivers what is left.
  local function deliver_rest(expected)
    point_to("/ok")
    with(sample.open(folder), function(hooks)
      wait.for_condition("the rest", 10, function()
        return hooks.log:where({ status = "succeeded" }):count() == expected
      end)
      assert.equal(expected, #hooks.log)
      for id in hooks.log:each() do
        assert.is_true(receiver:count(id) >= 1)
      end
    end)
  end

  it("may be left to the garbage collector", function()
    run([[
      do
        local hooks = open()
        assert(hooks:emit(event()))
      end
      collectgarbage()
      collectgarbage()
      local again = open()
      assert(again:drain(10))
      assert(again:close())
    ]])
    deliver_rest(1)
  end)

  it("outlives its last name as long as its log or webhooks are held", function()
    local output = run([[
      local log, webhooks = (function()
        local hooks = open()
        assert(hooks:emit(event()))
        assert(hooks:drain(10))
        return hooks.log, hooks.webhooks
      end)()
      collectgarbage()
      collectgarbage()
      print(#log, #webhooks:list())
    ]])
    assert.equal("1\t1\n", output)
  end)

  it("may be closed twice", function()
    run([[
      local hooks = open()
      assert(hooks:close() == true)
      assert(hooks:close() == true)
      assert(hooks:close(0) == true)
      assert(tostring(hooks):find("closed"))
    ]])
  end)

  it("raises when it is used after close", function()
    local output = run([[
      local hooks = open()
      assert(hooks:emit(event()))
      assert(hooks:drain(10))
      local id, delivery = hooks.log:each()()
      local log, each = hooks.log, hooks.log:each()
      hooks:close()
      local uses = {
        function() return hooks:emit(event()) end,
        function() return hooks:emit(event(), { durable = false }) end,
        function() return hooks:emit_all({ event() }) end,
        function() return hooks:flush(1) end,
        function() return hooks:drain(1) end,
        function() return hooks:stats() end,
        function() return #log end,
        function() return log[id] end,
        function() return each() end,
        function() return log:resend() end,
        function() return delivery.attempts end,
        function() return delivery:resend() end,
        function() return hooks.webhooks:list() end,
        function() return hooks.webhooks:get(delivery.webhook_id) end,
        function() return hooks.webhooks:delete(delivery.webhook_id) end,
      }
      for index, use in ipairs(uses) do
        local ok, message = pcall(use)
        assert(not ok and message:find("attempt to use a closed dispatcher", 1, true), index .. " " .. tostring(message))
      end
      print(#uses)
    ]])
    assert.equal("15\n", output)
  end)

  if flavour.has_close then
    it("is closed at the end of its block", function()
      run([[
        local outer
        do
          local hooks <close> = open()
          outer = hooks
          assert(hooks:emit(event()))
        end
        assert(tostring(outer):find("closed"))
        local failed = pcall(function()
          local hooks <close> = open()
          outer = hooks
          error("on purpose")
        end)
        assert(not failed and tostring(outer):find("closed"))
      ]])
      deliver_rest(1)
    end)
  end

  -- How a script may end so that its state is closed.
  local endings = { ["at its last line"] = "", ["by os.exit, closing the state"] = "os.exit(0, true)" }
  if not flavour.exit_may_close then
    endings["by os.exit, closing the state"] = nil
  end

  for name, ending in pairs(endings) do
    it("ends with the process in time while requests hang, and the next process delivers the rest: " .. name, function()
      point_to("/hang")
      local seconds = with(start([[
        hooks = open()
        for index = 1, 10 do assert(hooks:emit(event(index))) end
        while hooks:stats().in_flight < 10 do hooks:drain(0.01) end
        print("in flight")
        io.stdout:flush()
      ]] .. ending), function(child)
        wait.for_condition("requests in flight", 10, function()
          return not child:running() or child:stdout():find("in flight", 1, true)
        end)
        local before = socket.gettime()
        assert.equal(0, child:wait(20), child:output())
        return socket.gettime() - before
      end)
      assert.is_true(seconds < 4)
      deliver_rest(10)
    end)
  end

  it("keeps everything when the script ends with os.exit and no lua_close", function()
    run([[
      local hooks = open()
      for index = 1, 10 do assert(hooks:emit(event(index))) end
      os.exit(0)
    ]])
    with(sample.open(folder), function(hooks)
      assert.equal(10, #hooks.log)
    end)
  end)

  it("leaves the process quietly when it exits while hundreds are being signed and sent", function()
    for _ = 1, 10 do -- exit handlers that free what our threads use crashed about one run in four
      run([[
        local hooks, batch = open(), {}
        for index = 1, 200 do batch[index] = event(index) end
        for _ = 1, 3 do assert(hooks:emit_all(batch)) end
        os.exit(0)
      ]])
    end
    with(sample.open(folder), function(hooks)
      assert.equal(6000, #hooks.log)
      hooks:close(0)
    end)
  end)

  it("is closed, and the module still of use, in finalizers that run after its own", function()
    local output = run([[
      function last_words()
        local closed, problem = pcall(function() return hooks:emit(event(2)) end)
        print(closed, problem, (webhook.format(event(3), "raw")))
      end
      hooks = open()
      assert(hooks:emit(event(1)))
    ]], 0, [[
      local function finalize() last_words() end
      if newproxy then -- in Lua 5.1 tables have no finalizers
        older = newproxy(true)
        getmetatable(older).__gc = finalize
      else
        older = setmetatable({}, { __gc = finalize })
      end
    ]])
    assert.truthy(output:find("^false\t.*closed dispatcher\t{\"event\":\"job_finished\",.*\n$"), output)
    deliver_rest(1)
  end)

  it("does not keep a script that fails from ending", function()
    local _, problem = run([[
      local hooks = open()
      assert(hooks:emit(event()))
      error("on purpose")
    ]], 1)
    assert.truthy(problem:find("on purpose", 1, true), problem)
    deliver_rest(1)
  end)
end)
