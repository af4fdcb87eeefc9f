-- Runs inside nginx, for nginx_spec.lua: the dispatcher of each worker, and places that run Lua code that the spec sends.
local cjson = require("cjson")
local core = require("webhook.core")
local webhook = require("webhook")

local app = { dispatchers = {}, turns = 0, gap = 0 }
local state = ngx.shared.state

local HOOKS = { allow_networks = { "127.0.0.0/8" }, retry = { 0.2, 0.2, 0.2, 0.2, 0.2 }, close_timeout = 2, lease = 1 }

--- webhook.open with the options of these tests.
function app.open(path, options)
  local all = {}
  for name, value in pairs(HOOKS) do
    all[name] = value
  end
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  return webhook.open(path, all)
end

function app.event(id)
  return webhook.events.job_finished({ id = tostring(id), appId = "app", status = "failed" })
end

-- Every millisecond a turn; the longest time between two is how long something held the event loop.
local function turn(premature)
  if premature then
    return
  end
  local last = core.seconds()
  while not ngx.worker.exiting() do
    ngx.sleep(0.001)
    local now = core.seconds()
    app.turns = app.turns + 1
    app.gap = math.max(app.gap, now - last)
    last = now
  end
end

--- For init_worker_by_lua.
function app.start(path, options)
  app.hooks, app.problem, app.code = app.open(path, options)
  assert(ngx.timer.at(0, turn))
end

--- For exit_worker_by_lua.
function app.stop()
  if app.hooks then
    local ok, problem = app.hooks:close()
    ngx.log(ngx.WARN, "closed: ", tostring(ok), " ", tostring(problem))
  end
end

local function pack(...)
  local list = { ... }
  for index = 1, select("#", ...) do
    local kind = type(list[index])
    if kind == "nil" then
      list[index] = cjson.null
    elseif kind ~= "string" and kind ~= "number" and kind ~= "boolean" and kind ~= "table" then
      list[index] = tostring(list[index])
    end
  end
  return list
end

local function run(code)
  local fn, problem = loadstring("local app, hooks, webhook = ...\n" .. code, "=spec")
  if not fn then
    return { false, problem }
  end
  return pack(pcall(fn, app, app.hooks, webhook))
end

--- content_by_lua: runs the request's body.
function app.content()
  ngx.req.read_body()
  local body = cjson.encode(run(ngx.req.get_body_data()))
  ngx.header["Content-Length"] = #body
  ngx.print(body)
end

--- For every phase: runs what the spec left for it, and leaves what came of it.
function app.phase(name)
  if ngx.var.arg_phase ~= name or ngx.ctx.done then
    return
  end
  ngx.ctx.done = true
  state:set("result", cjson.encode(run(state:get("code"))))
end

return app
