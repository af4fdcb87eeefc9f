-- Sending in nginx: a real one, with the master and workers of another user, asked over real connections.
local cjson = require("cjson")
local flavour = require("spec.support.flavour")
local nginx_app = require("spec.support.nginx_app")
local process = require("spec.support.process")
local shell = require("spec.support.shell")
local socket = require("socket")
local start_receiver = require("spec.support.receiver").start
local temp = require("spec.support.temp")
local wait = require("spec.support.wait")
local with = require("spec.support.with")

local unpack = table.unpack or unpack

-- What runs in nginx is the same whoever asks it: once is enough.
if not package.loaded.jit and not os.getenv("LW_NGINX_BUILD") then
  pending("nginx is LuaJIT: its specs run where LuaJIT runs the specs, or with LW_NGINX_BUILD=build-jit")
  return
end
assert(nginx_app.build(), "nginx needs a build for LuaJIT: script/build build-jit, or LW_NGINX_BUILD")

local HTTP = [[
  lua_shared_dict state 1m;
  lua_check_client_abort on;
  $EXTRA
  server {
    listen 127.0.0.1:$PORT;
    location = /run { content_by_lua_block { require("app").content() } }
    location = /phase {
      set_by_lua_block $unused { require("app").phase("set") }
      rewrite_by_lua_block { require("app").phase("rewrite") }
      access_by_lua_block { require("app").phase("access") }
      content_by_lua_block { require("app").phase("content") ngx.print("ok") }
      header_filter_by_lua_block { require("app").phase("header_filter") }
      body_filter_by_lua_block { require("app").phase("body_filter") }
      log_by_lua_block { require("app").phase("log") }
    }
  }
]]
local START = [[
  init_worker_by_lua_block { require("app").start("$FOLDER/db/webhooks.db") }
  exit_worker_by_lua_block { require("app").stop() }
]]
local LONG = 20 -- seconds

describe("in nginx", function()
  local receiver, nginx

  setup(function()
    receiver = start_receiver()
  end)

  teardown(function()
    receiver:stop()
  end)

  before_each(function()
    receiver:reset()
  end)

  after_each(function()
    if nginx then
      nginx:stop()
      nginx = nil
    end
  end)

  local run

  local function start(options)
    options = options or {}
    nginx = nginx_app.start({
      http = (HTTP:gsub("%$EXTRA", options.http or START)),
      workers = options.workers,
      files = { ["app.lua"] = assert(shell.read_file("spec/support/nginx_hooks.lua")) },
      user = "nobody nogroup",
      folders = options.folders or { "db" },
    })
    assert.is_true(run("return true")) -- a worker has opened its dispatcher
  end

  local function request_for(code)
    return ("POST /run HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"):format(#code, code)
  end

  local function results_of(body)
    local list = cjson.decode(body)
    assert.is_true(list[1], list[2])
    for index = 2, #list do
      if list[index] == cjson.null then
        list[index] = nil
      end
    end
    return unpack(list, 2, 10)
  end

  -- Runs code in a content handler, and returns what it returned.
  function run(code)
    local answer = assert(nginx:raw(request_for(code)), "no answer")
    assert.equal(200, answer.status, nginx:log())
    return results_of(answer.body)
  end

  -- Runs code in a phase of a request.
  local function run_in(phase, code)
    run(("ngx.shared.state:delete('result') ngx.shared.state:set('code', %q)"):format(code))
    nginx:raw("GET /phase?phase=" .. phase .. " HTTP/1.0\r\n\r\n")
    local result
    wait.for_condition("the phase " .. phase, LONG, function()
      result = run("return ngx.shared.state:get('result')")
      return result
    end)
    return results_of(result)
  end

  local function make_hook(path)
    return run(([[return assert(hooks.webhooks:create { name = "w", app_id = "app", url = %q, events = { "*" } }).id]]):format(
      receiver.url .. (path or "/ok")))
  end

  -- While it runs, another process holds the database's lock.
  local function locked(fn)
    with(temp.folder(), function(folder)
      local release = folder:file("release")
      local child = process.spawn({ "luajit", "spec/support/lock_child.lua", nginx.folder:file("db/webhooks.db"), release })
      with(child, function()
        wait.for_condition("the lock", LONG, function()
          assert(child:running(), child:output())
          return child:stdout() == "locked\n"
        end)
        fn(function()
          shell.write_file(release, "")
          assert.equal(0, child:wait(LONG), child:output())
        end)
      end)
    end)
  end

  local function send(code)
    local client = assert(socket.connect("127.0.0.1", nginx.port))
    client:settimeout(LONG)
    assert(client:send(request_for(code)))
    return client
  end

  local function receive(client)
    local answer = assert(client:receive("*a"))
    client:close()
    local body = answer:match("\r\n\r\n(.*)$")
    assert.truthy(body, answer .. nginx:log())
    return results_of(body)
  end

  local function quit(seconds)
    nginx.process:kill("QUIT")
    nginx.process:wait(seconds)
  end

  -- -- phases ---------------------------------------------------------------------------------------------------------------

  describe("an emit", function()
    local EMIT = [[local message, problem, code = hooks:emit(app.event("%s"))
      return message and message.id, message and message.durable, problem, code]]

    before_each(function()
      start()
      make_hook()
    end)

    for _, phase in ipairs({ "rewrite", "access", "content" }) do
      it("is on disk when it returns in " .. phase, function()
        local id, durable = run_in(phase, EMIT:format(phase))
        assert.truthy(id)
        assert.is_true(durable)
        assert.equal("succeeded", run("assert(hooks:drain(20)) local _, d = hooks.log:each()() return d.status"))
      end)
    end

    for _, phase in ipairs({ "set", "header_filter", "body_filter", "log" }) do
      it("is queued, and says so, in " .. phase, function()
        local id, durable = run_in(phase, EMIT:format(phase))
        assert.truthy(id)
        assert.is_false(durable)
        assert.equal("succeeded", run("assert(hooks:drain(20)) local _, d = hooks.log:each()() return d.status"))
        assert.equal(1, receiver:total("/ok"))
      end)
    end

    it("is on disk when it returns in a timer", function()
      local durable = run([[
        local done, durable = require("ngx.semaphore").new(0)
        ngx.timer.at(0, function()
          durable = assert(hooks:emit(app.event("timer"))).durable
          done:post(1)
        end)
        assert(done:wait(10))
        return durable]])
      assert.is_true(durable)
    end)

    it("may be queued anywhere", function()
      assert.is_false(run([[return hooks:emit(app.event("1"), { durable = false }).durable]]))
    end)

    it("may be made where no coroutine can yield", function()
      assert.is_true(run([[
        local durable
        ("x"):gsub("x", function() durable = hooks:emit(app.event("1")).durable end)
        return durable]]))
    end)

    it("refuses what cannot be an event as elsewhere", function()
      local message, problem, code = run([[return hooks:emit({ event = "unheard_of", data = {} })]])
      assert.is_nil(message)
      assert.truthy(problem:find("unheard_of", 1, true))
      assert.equal("invalid_event", code)
    end)
  end)

  it("what would have to wait in log_by_lua is refused", function()
    start()
    for _, call in ipairs({
      "hooks:stats()", "hooks:metrics()", "hooks:flush(1)", "hooks:drain(1)", "hooks.webhooks:list()", "hooks:prune { older_than = 1 }",
      "hooks.log:resend()", "hooks:close()", "webhook.open('" .. nginx.folder.path .. "/db/other.db')",
      "webhook.send { url = 'http://127.0.0.1:1/', event = app.event(1) }",
    }) do
      local result, problem, code = run_in("log", "return " .. call)
      assert.is_nil(result, call)
      assert.truthy(tostring(problem):find("log_by_lua cannot wait", 1, true), call .. ": " .. tostring(problem))
      assert.equal("phase", code, call)
    end
    assert.equal(0, run("return hooks.log:count()"))
  end)

  -- -- all else -------------------------------------------------------------------------------------------------------------

  it("everything works in a content handler", function()
    start()
    local id = make_hook("/status/400")
    local other = make_hook("/ok")
    assert.equal(2, run("return #hooks.webhooks:list()"))
    assert.equal("new", run(("return assert(hooks.webhooks:update(%q, { name = 'new' })).name"):format(id)))
    assert.is_true(run(("return hooks.webhooks:delete(%q)"):format(other)))
    assert.equal("new", run(("return hooks.webhooks:get(%q).name"):format(id)))
    assert.equal("not_found", run(("return select(3, hooks.webhooks:get(%q))"):format(other)))
    assert.equal(3, run([[return #assert(hooks:emit_all { app.event(1), app.event(2), app.event(3) })]]))
    assert.is_true(run("return hooks:flush(10)"))
    wait.for_condition("the failures", LONG, function()
      return run("return hooks.log:where({ status = 'failed' }):count()") == 3
    end)
    assert.is_true(run("return hooks:drain(10)"))
    assert.equal(400, run("for _, d in hooks.log:each() do return d.attempts[1].response_status_code end"))
    assert.equal(3, run("return #hooks.log"))
    run(("assert(hooks.webhooks:update(%q, { url = %q }))"):format(id, receiver.url .. "/ok"))
    local resent, steps = run("local steps = {} return hooks.log:resend { progress = function(n) steps[#steps + 1] = n end }, steps")
    assert.equal(3, resent)
    assert.same({ 3 }, steps)
    assert.is_true(run("return hooks:drain(10)"))
    assert.equal("succeeded", run(("local m = assert(hooks:send_test(%q, 'job_created')) assert(hooks:drain(10)) "
      .. "return hooks.log[m.delivery_id].status"):format(id)))
    assert.equal(4, run("return hooks:stats { per_webhook = true }.events"))
    assert.truthy(run("return hooks:metrics()"):find("webhook", 1, true))
    assert.equal(4, run("return hooks:prune { older_than = 0 }"))
    assert.equal("succeeded", run(("return assert(webhook.send { url = %q, event = app.event('s') }).status"):format(
      receiver.url .. "/ok")))
  end)

  it("a dispatcher may be opened and closed in a request", function()
    start({ http = "" })
    local path = nginx.folder:file("db/own.db")
    assert.same({ true, true, false }, { run(([[
      local own = assert(app.open(%q))
      local durable = own:emit(app.event(1)).durable
      return durable, own:close(), (tostring(own):find("(open)", 1, true)) ~= nil]]):format(path)) })
    assert.equal(1, run(("return app.open(%q):stats().pending + 1"):format(path)))
  end)

  it("works as well without the semaphores of lua-resty-core", function()
    start({ http = [[
      init_by_lua_block { package.preload["ngx.semaphore"] = function() error("there is none") end }]] .. START })
    make_hook()
    assert.is_true(run("return hooks:emit(app.event(1)).durable"))
    assert.is_true(run("return hooks:drain(10)"))
    assert.equal(1, run("return hooks.log:count()"))
    assert.is_nil(run("return hooks.way.reader"))
  end)

  it("drain and flush say when their time is up", function()
    start()
    make_hook("/hang")
    run("assert(hooks:emit(app.event(1)))")
    local ok, problem, left = run("return hooks:drain(0.05)")
    assert.is_nil(ok)
    assert.equal("timeout", problem)
    assert.equal(1, left)
    locked(function(release)
      local flushed, _, code = run("hooks:emit(app.event(2), { durable = false }) return hooks:flush(0.05)")
      assert.is_nil(flushed)
      assert.equal("timeout", code)
      release()
    end)
    assert.is_true(run("return hooks:flush(20)"))
  end)

  it("the logger is called by itself", function()
    start({ http = [[
      init_worker_by_lua_block {
        local app = require("app")
        app.records = {}
        app.start("$FOLDER/db/webhooks.db", { retry = false, logger = function(record) table.insert(app.records, record.event) end })
      }]] })
    make_hook("/status/400")
    run("assert(hooks:emit(app.event(1)))")
    wait.for_condition("a record", LONG, function()
      return run("return app.records[1]") == "delivery_failed"
    end)
  end)

  -- -- the loop -------------------------------------------------------------------------------------------------------------

  it("no call holds the event loop, also while another process has locked the database", function()
    start()
    local id = make_hook()
    run("assert(hooks:emit(app.event(0))) assert(hooks:drain(10)) app.turns, app.gap = 0, 0")
    locked(function(release)
      local began = socket.gettime()
      local clients = {}
      for index, code in ipairs({
        "return hooks:emit(app.event(1)).durable", "return hooks:flush(20)", "return hooks:prune({ older_than = 0 }) >= 0",
        ("return hooks.webhooks:update(%q, { name = 'n' }).name == 'n'"):format(id),
        [[return #hooks.webhooks:create({ name = "x", url = "http://127.0.0.1:1/", events = { "app_build_created" } }).id == 36]],
        "return hooks.log:resend() >= 0", ("return app.open(%q) ~= nil"):format(nginx.folder:file("db/webhooks.db")),
        ("return #hooks:send_test(%q, 'job_created').id == 36"):format(id),
        ("return webhook.send({ url = %q, event = app.event(1) }).status == 'succeeded'"):format(receiver.url .. "/slow/1"),
      }) do
        clients[index] = send(code)
      end
      -- Reads go on meanwhile.
      assert.equal(1, run("return #hooks.log"))
      assert.equal(1, run("return #hooks.webhooks:list()"))
      assert.equal(1, run("return hooks:stats().attempts"))
      wait.for_condition("a second of turns", LONG, function()
        return run("return app.turns") > 500 and socket.gettime() - began > 1
      end)
      local held = socket.gettime() - began
      local gap = run("return app.gap")
      release()
      for _, client in ipairs(clients) do
        assert.is_true(receive(client))
      end
      assert.is_true(gap < held / 2, ("the loop was held for %g s of %g"):format(gap, held))
    end)
  end)

  it("more light threads than the mailbox has places may emit at once", function()
    start()
    locked(function(release)
      local client = send([[
        local threads, stored = {}, 0
        for index = 1, 300 do
          threads[index] = ngx.thread.spawn(function()
            local list = {}
            for k = 1, 50 do list[k] = app.event(index .. "-" .. k) end
            local messages = assert(hooks:emit_all(list))
            stored = stored + #messages
          end)
        end
        for _, thread in ipairs(threads) do assert(ngx.thread.wait(thread)) end
        return stored]])
      wait.for_condition("the mailbox to be full", LONG, function()
        return run("return select(3, hooks:emit(app.event(1), { durable = false }))") == "busy"
      end)
      release()
      assert.equal(15000, receive(client))
    end)
  end)

  it("an event is stored whose request is gone", function()
    start()
    make_hook()
    locked(function(release)
      local client = send([[
        local state = ngx.shared.state
        assert(ngx.on_abort(function() state:set("left", "gone") ngx.exit(499) end))
        state:set("left", "waits")
        hooks:emit(app.event("left"))
        state:set("left", "answered")]])
      local function becomes(word)
        wait.for_condition(word, LONG, function()
          return run("return ngx.shared.state:get('left')") == word
        end)
      end
      becomes("waits")
      client:close()
      becomes("gone")
      run("collectgarbage() collectgarbage()")
      release()
    end)
    wait.for_condition("the delivery", LONG, function()
      return receiver:total("/ok") == 1
    end)
    assert.equal("gone", run("return ngx.shared.state:get('left')"))
    assert.is_true(run("return hooks:emit(app.event(3)).durable"))
  end)

  it("a receiver that hangs holds up nothing but its own deliveries", function()
    start()
    make_hook("/hang")
    for index = 1, 50 do
      assert.is_true(run(("return hooks:emit(app.event(%d)).durable"):format(index)))
    end
    assert.equal(0, run("return hooks:stats().succeeded"))
    assert.equal(50, run("return #hooks.log"))
  end)

  -- -- misuse ---------------------------------------------------------------------------------------------------------------

  it("init_by_lua is told to open in init_worker_by_lua", function()
    start({ http = [[
      init_by_lua_block {
        local ok, problem, code = require("webhook").open("$FOLDER/db/webhooks.db")
        told = { tostring(ok), problem, code }
      }]] })
    local ok, problem, code = run("return unpack(told)")
    assert.equal("nil", ok)
    assert.truthy(problem:find("init_worker_by_lua", 1, true))
    assert.equal("phase", code)
  end)

  it("a module that is loaded in init_by_lua can be used in the workers", function()
    start({ http = [[init_by_lua_block { require("webhook") require("webhook.seen") } ]] .. START, workers = 2 })
    make_hook()
    assert.is_true(run("return hooks:emit(app.event(1)).durable"))
    assert.is_true(run("return hooks:drain(10)"))
  end)

  it("a folder that the worker's user cannot write to is named, and the user", function()
    start({ folders = {} })
    shell.check("mkdir -m 755 " .. nginx.folder:file("db"))
    local ok, problem, code = run(("return app.open(%q)"):format(nginx.folder:file("db/webhooks.db")))
    assert.is_nil(ok)
    assert.equal("unwritable", code)
    assert.truthy(problem:find(nginx.folder:file("db/webhooks.db"), 1, true), problem)
    assert.truthy(problem:find("nobody", 1, true), problem)
  end)

  it("without a code cache each request has a dispatcher of its own", function()
    start({ http = "lua_code_cache off;" })
    local path = nginx.folder:file("db/webhooks.db")
    local open = ("local hooks = assert(app.open(%q)) "):format(path)
    run(open .. ("assert(hooks.webhooks:create { name = 'w', app_id = 'app', url = %q, events = { '*' } })"):format(
      receiver.url .. "/ok"))
    local worker = nginx:workers()
    for index = 1, 20 do
      -- Some are closed, some are left to the end of their Lua state.
      assert.is_true(run(open .. ("local m = hooks:emit(app.event(%d)) %s return m.durable"):format(index,
        index % 2 == 0 and "hooks:close()" or "")))
    end
    wait.for_condition("the deliveries", LONG, function()
      run(open .. "hooks:close()")
      return receiver:total("/ok") >= 20
    end)
    for id in pairs(receiver:ids()) do
      assert.equal(1, receiver:count(id))
    end
    assert.same(worker, nginx:workers())
    assert.is_nil(nginx:log():find("signal 11", 1, true))
  end)

  -- -- workers --------------------------------------------------------------------------------------------------------------

  -- Emits one event a request from two programs. Each line that is printed is an event that was accepted: its message's id and
  -- the worker's process id.
  local LOAD = [[
    local socket = require("socket")
    local port, name, stop = arg[1], arg[2], arg[3]
    local most = tonumber(arg[4])
    local index = 0
    while index < most do
      local file = io.open(stop)
      if file then file:close() break end
      index = index + 1
      local code = "return hooks:emit(app.event('" .. name .. index .. "')).id .. ' ' .. ngx.worker.pid()"
      local client = socket.connect("127.0.0.1", port)
      if client then
        client:settimeout(20)
        client:send("POST /run HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " .. #code .. "\r\n\r\n" .. code)
        local answer = client:receive("*a")
        client:close()
        local id, pid = (answer or ""):match('%[true,"(%S+) (%d+)"%]')
        if id then print(id, pid) io.stdout:flush() end
      end
    end
  ]]

  -- Calls fn while programs emit, until it returns; without one until each has emitted `most`. @return accepted: message id ->
  -- worker
  local function under_load(most, fn)
    local accepted = {}
    with(temp.folder(), function(folder)
      shell.write_file(folder:file("load.lua"), LOAD)
      local children = {}
      for index = 1, 2 do
        children[index] = process.start(folder:file("load.lua"), {
          args = { nginx.port, ("program%d-"):format(index), folder:file("stop"), most },
        })
      end
      local ok, problem = true, nil
      if fn then
        ok, problem = pcall(fn, function()
          return #children[1]:stdout() + #children[2]:stdout()
        end)
        shell.write_file(folder:file("stop"), "")
      end
      for _, child in ipairs(children) do
        assert.equal(0, child:wait(120), child:output())
        for id, pid in child:stdout():gmatch("(%S+)\t(%d+)\n") do
          accepted[id] = pid
        end
        child:close()
      end
      assert(ok, problem)
    end)
    return accepted
  end

  -- message id -> delivery's id, out of the log
  local function deliveries()
    local list = run([[
      local list = {}
      for id, delivery in hooks.log:each() do list[#list + 1] = delivery.message_id .. " " .. id end
      return table.concat(list, "\n")]])
    local found = {}
    for message, id in list:gmatch("(%S+) (%S+)") do
      found[message] = id
    end
    return found
  end

  local function all_arrive(accepted)
    local count = 0
    for _ in pairs(accepted) do
      count = count + 1
    end
    assert.is_true(count > 0)
    wait.for_condition("all to be delivered", 60, function()
      return run("return hooks.log:where({ status = 'pending' }):count()") == 0
    end)
    local found, ids = deliveries(), receiver:ids()
    for message in pairs(accepted) do
      assert.truthy(found[message], "an accepted event is not in the log")
      assert.truthy(ids[found[message]], "an accepted event was not delivered")
    end
    return found, ids
  end

  local function assert_each_once(ids)
    for id, count in pairs(ids) do
      assert.equal(1, count, id)
    end
  end

  it("two workers share a file, and send each event once", function()
    start({ workers = 2 })
    make_hook()
    local accepted = under_load(1000)
    local workers, _, ids = {}, all_arrive(accepted)
    assert_each_once(ids)
    for _, pid in pairs(accepted) do
      workers[pid] = true
    end
    local count, total = 0, 0
    for _ in pairs(workers) do
      count = count + 1
    end
    for _ in pairs(accepted) do
      total = total + 1
    end
    assert.equal(2, count)
    assert.equal(2000, total)
    assert.equal(2000, receiver:total("/ok"))
  end)

  it("ten reloads under load lose nothing and double nothing", function()
    start({ workers = 2 })
    make_hook("/slow/2")
    local accepted = under_load(100000, function(progress)
      for _ = 1, 10 do
        local before = progress()
        nginx:reload(2)
        wait.for_condition("more events", LONG, function()
          return progress() > before + 1000
        end)
      end
    end)
    local _, ids = all_arrive(accepted)
    assert_each_once(ids)
    wait.for_condition("the old workers to end", LONG, function()
      return #nginx:workers() == 2
    end)
  end)

  it("a worker that is killed loses nothing, and only what it sent may come twice", function()
    start({ workers = 2 })
    make_hook("/slow/5")
    local killed
    local accepted = under_load(100000, function(progress)
      wait.for_condition("some events", LONG, function()
        return progress() > 10000
      end)
      local old = nginx:workers()
      killed = tostring(flavour.whole(old[1]))
      shell.check("kill -KILL " .. killed)
      local before = progress()
      nginx:await_workers(1, old)
      wait.for_condition("more events", LONG, function()
        return progress() > before + 10000
      end)
    end)
    local found, ids = all_arrive(accepted)
    local workers = {} -- of each delivery
    for message, delivery in pairs(found) do
      workers[delivery] = accepted[message] or killed -- its request may have got no answer
    end
    for id, count in pairs(ids) do
      assert.truthy(workers[id], "sent under an id that is not in the log")
      assert.is_true(count == 1 or workers[id] == killed, "a living worker sent twice")
    end
  end)

  it("quit ends within close_timeout, and leaves what hangs to the next", function()
    start()
    make_hook("/hang")
    run("for index = 1, 20 do assert(hooks:emit(app.event(index))) end")
    wait.for_condition("requests under way", LONG, function()
      return receiver:stats("/hang").active >= 10
    end)
    local began = socket.gettime()
    quit(LONG)
    assert.is_true(socket.gettime() - began < 8) -- close_timeout is 2
    assert.truthy(nginx:log():find("closed: true", 1, true), nginx:log())
    assert.is_nil(nginx:log():find("signal 11", 1, true))
  end)

  it("a worker that must end while requests last claims nothing more", function()
    start()
    make_hook()
    local client = send([[
      local began = ngx.now()
      repeat ngx.sleep(0.01) until ngx.worker.exiting() or ngx.now() > began + 20
      repeat
        local retired = ngx.now()
        ngx.sleep(0.05)
      until not hooks.way.reader or ngx.now() > began + 20
      local message = assert(hooks:emit(app.event("late")))
      return message.durable, message.deliveries]])
    wait.for_condition("the request", LONG, function()
      return run("return ngx.worker.pid()")
    end)
    nginx:reload(1)
    local durable, count = receive(client)
    assert.is_true(durable)
    assert.equal(1, count)
    wait.for_condition("the new worker to deliver it", LONG, function()
      return receiver:total("/ok") == 1
    end)
    wait.for_condition("its outcome, by the new worker", LONG, function()
      return run("return hooks:stats().succeeded") == 1
    end)
  end)

  it("the socket's name and folder are gone at once", function()
    start()
    run("assert(hooks:emit(app.event(1)))")
    wait.for_condition("the reader", LONG, function()
      return run("return hooks.way.reader") == "reading"
    end)
    assert.equal("", (shell.check("find ${TMPDIR:-/tmp} -maxdepth 1 -name 'lua-webhook-*' -user nobody")))
  end)
end)
