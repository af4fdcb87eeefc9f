-- An nginx (LuaJIT) that runs an application with the module in it: any configuration, several workers.
local flavour = require("spec.support.flavour")
local process = require("spec.support.process")
local shell = require("spec.support.shell")
local socket = require("socket")
local temp = require("spec.support.temp")
local wait = require("spec.support.wait")

local unpack = table.unpack or unpack

local nginx_app = {}

local App = {}
App.__index = App

local START_SECONDS = 10
local QUIT_SECONDS = 15
local START_ATTEMPTS = 3
local FAULT_LENGTH = 4000 -- characters of a report

local CONFIGURATION = [[
load_module "$MODULES/ndk_http_module.so";
load_module "$MODULES/ngx_http_lua_module.so";
daemon off;
worker_processes $WORKERS;
$USER
pid "$FOLDER/nginx.pid";
error_log "$FOLDER/error.log" info;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path "$FOLDER/body";
  proxy_temp_path "$FOLDER/proxy";
  fastcgi_temp_path "$FOLDER/fastcgi";
  uwsgi_temp_path "$FOLDER/uwsgi";
  scgi_temp_path "$FOLDER/scgi";
  lua_package_path "$ROOT/lua/?.lua;$ROOT/lua/?/init.lua;$FOLDER/?.lua;;";
  lua_package_cpath "$BUILD/?.so;;";
$HTTP
}
]]

local function fill(template, values)
  return (template:gsub("%$(%u+)", values))
end

local function find_nginx()
  local found = shell.run('PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v nginx'):gsub("%s+$", "")
  if found == "" then
    error("nginx is not installed (script/bootstrap test installs it)", 0)
  end
  return found
end

local function find_modules(nginx)
  local stated = shell.run("env -u LD_PRELOAD " .. shell.quote(nginx) .. " -V"):match("%-%-modules%-path=(%S+)")
  for _, folder in ipairs({ stated or "/usr/lib/nginx/modules", "/usr/lib/nginx/modules", "/usr/lib64/nginx/modules" }) do
    if shell.read_file(folder .. "/ngx_http_lua_module.so") then
      return folder
    end
  end
  error("nginx's Lua module is not installed (script/bootstrap test installs it)", 0)
end

--- The build that nginx can load: LW_NGINX_BUILD, or the one under test when it is for Lua 5.1, else that of LuaJIT; nil when
-- there is none.
function nginx_app.build()
  local tested = os.getenv("LW_BUILD") or "build"
  local build = os.getenv("LW_NGINX_BUILD") or _VERSION == "Lua 5.1" and tested or "build-jit"
  if build:sub(1, 1) ~= "/" then
    build = shell.check("pwd"):gsub("%s+$", "") .. "/" .. build
  end
  return shell.read_file(build .. "/webhook/core.so") and build
end

--- A port of 127.0.0.1 on which nobody listens.
function nginx_app.free_port()
  local listener = assert(socket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  listener:close()
  return flavour.whole(tonumber(port))
end

local function connects(port)
  local client = socket.connect("127.0.0.1", port)
  if client then
    client:close()
  end
  return client ~= nil
end

local function write_configuration(self, options)
  local root = shell.check("pwd"):gsub("%s+$", "")
  local nginx = find_nginx()
  local values = {
    MODULES = find_modules(nginx),
    WORKERS = tostring(options.workers or 1),
    USER = shell.check("id -u"):match("^0%s") and ("user %s;"):format(options.user or "root") or "",
    FOLDER = self.folder.path,
    ROOT = root,
    BUILD = nginx_app.build(),
    PORT = tostring(self.port),
  }
  values.HTTP = fill(options.http, values)
  shell.write_file(self.folder:file("nginx.conf"), fill(CONFIGURATION, values))
  for name, text in pairs(options.files or {}) do
    shell.write_file(self.folder:file(name), text)
  end
  shell.check("chmod 755 " .. shell.quote(self.folder.path))
  for _, name in ipairs(options.folders or {}) do
    shell.check("mkdir -p -m 777 " .. shell.quote(self.folder:file(name)))
  end
  return nginx
end

local function try_start(self, options)
  self.port = nginx_app.free_port()
  local nginx = write_configuration(self, options)
  local env = { LD_PRELOAD = os.getenv("LW_NGINX_PRELOAD") or false, LUA_PATH = false, LUA_CPATH = false, NGINX = false }
  for name, value in pairs(options.env or {}) do
    env[name] = value
  end
  self.process = process.spawn({
    nginx, "-p", self.folder.path, "-c", self.folder:file("nginx.conf"), "-e", self.folder:file("error.log"),
  }, { env = env })
  local started, problem = pcall(wait.for_condition, "nginx to listen", START_SECONDS, function()
    return not self.process:running() or connects(self.port)
  end)
  if started and self.process:running() then
    return true
  end
  local output = self.process:output()
  self.process:close()
  return nil, ("nginx did not start: %s\n%s%s"):format(started and "it ended" or problem, self:log(), output)
end

--- Starts nginx, with LW_NGINX_PRELOAD (the library of a sanitizer) as its LD_PRELOAD. options.http: what stands in its http
-- block, where $PORT, $FOLDER, $ROOT are filled in; workers: 1; files: name -> text, in its folder, where Lua finds modules;
-- env: environment variables; user: whose the workers are ("root", where root runs the tests); folders: made in its folder for
-- that user.
function nginx_app.start(options)
  local self = setmetatable({ folder = temp.folder() }, App)
  local failure
  -- Another program may take the free port before nginx does: try again.
  for _ = 1, START_ATTEMPTS do
    local started, problem = try_start(self, options)
    if started then
      self.url = "http://127.0.0.1:" .. self.port
      return self
    end
    failure = problem
    if not problem:find("Address already in use", 1, true) then
      break
    end
  end
  self.folder:remove()
  error(failure, 2)
end

--- What nginx has logged so far.
function App:log()
  return shell.read_file(self.folder:file("error.log")) or ""
end

--- The process ids of the workers, those that are about to end among them.
function App:workers()
  return self.process:children()
end

--- Waits until there are `count` workers that are not in the list `old`.
function App:await_workers(count, old)
  local known = {}
  for _, pid in ipairs(old) do
    known[pid] = true
  end
  wait.for_condition(count .. " new workers", START_SECONDS, function()
    local fresh = 0
    for _, pid in ipairs(self:workers()) do
      fresh = fresh + (known[pid] and 0 or 1)
    end
    return fresh == count
  end)
end

--- Reads the configuration again (HUP); returns when the new workers have started.
function App:reload(count)
  local old = self:workers()
  self.process:kill("HUP")
  self:await_workers(count, old)
end

--- Sends raw bytes on a new connection, and reads answers until the server closes it or `count` (1) have come. An answer is
-- { status, headers = { lower-case name = value }, body }.
function App:raw(bytes, count)
  local client = assert(socket.connect("127.0.0.1", self.port))
  client:settimeout(START_SECONDS)
  -- The server may answer and close before it has read all of it.
  client:send(bytes)
  local answers = {}
  while #answers < (count or 1) do
    local line = client:receive("*l")
    if not line then
      break
    end
    local answer = { status = tonumber(line:match("^HTTP/1%.1 (%d+)")), headers = {} }
    for header in function() return client:receive("*l") end do
      if header == "" then
        break
      end
      local name, value = header:match("^([^:]+):%s*(.*)$")
      answer.headers[name:lower()] = value
    end
    if answer.headers["content-length"] and bytes:sub(1, 5) ~= "HEAD " then
      answer.body = assert(client:receive(tonumber(answer.headers["content-length"])))
    end
    answers[#answers + 1] = answer
  end
  client:close()
  return unpack(answers)
end

-- What a worker died of, or a sanitizer has found in it (LW_NGINX_PRELOAD): the place in the log, or nil. Killing is the
-- tests' own.
local function fault_in(log)
  for _, pattern in ipairs({ "ERROR: %w+Sanitizer", "%.[ch]:%d+:%d+: runtime error:", "exited on signal [^9]" }) do
    local at = log:find(pattern)
    if at then
      return log:sub(at, at + FAULT_LENGTH)
    end
  end
end

--- Ends nginx, and removes its folder. Raises an error when a worker has crashed.
function App:stop()
  if not self.folder.path then
    return
  end
  self.process:kill("QUIT")
  local ended = pcall(self.process.wait, self.process, QUIT_SECONDS)
  self.process:close()
  local fault = fault_in(self:log())
  self.folder:remove()
  if fault then
    error("a worker of nginx failed: " .. fault, 2)
  end
  if not ended then
    error("nginx did not quit", 2)
  end
end

App.__close = App.stop

return nginx_app
