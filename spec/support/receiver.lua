-- A real web server (nginx) that receives webhooks, counts them and misbehaves
-- on request. See receiver_handler.lua for the places it serves.
local cjson = require("cjson")
local flavour = require("spec.support.flavour")
local http = require("socket.http")
local mime = require("mime")
local process = require("spec.support.process")
local shell = require("spec.support.shell")
local socket = require("socket")
local temp = require("spec.support.temp")
local url = require("socket.url")
local wait = require("spec.support.wait")

local receiver = {}

local Receiver = {}
Receiver.__index = Receiver

local START_SECONDS = 10
local QUIT_SECONDS = 5
local KILL_SECONDS = 5
local START_ATTEMPTS = 3
local CONTROL_SECONDS = 30

local HANDLER = debug.getinfo(1, "S").source:match("^@(.*)receiver%.lua$") .. "receiver_handler.lua"

local CONFIGURATION = [[
load_module "$MODULES/ndk_http_module.so";
load_module "$MODULES/ngx_http_lua_module.so";
daemon off;
master_process off;
worker_processes 1;
$USER
pid "$FOLDER/nginx.pid";
error_log "$FOLDER/error.log" warn;
worker_rlimit_nofile 65536;
events { worker_connections 8192; }
http {
  access_log off;
  client_max_body_size 64m;
  client_body_buffer_size 1m;
  client_body_temp_path "$FOLDER/body";
  proxy_temp_path "$FOLDER/proxy";
  fastcgi_temp_path "$FOLDER/fastcgi";
  uwsgi_temp_path "$FOLDER/uwsgi";
  scgi_temp_path "$FOLDER/scgi";
  keepalive_requests 1000000;
  keepalive_timeout 300s;
  tcp_nodelay on;
  lua_check_client_abort on;
  lua_shared_dict counts 128m;
  lua_shared_dict ids 64m;
  lua_shared_dict flaky 64m;
  lua_shared_dict last 160m;
  lua_shared_dict order 64m;
  lua_shared_dict meta 1m;
$SERVERS
}
]]

local SERVER = [[
  server {
    listen 127.0.0.1:$PORT$OPTIONS backlog=4096;
$CERTIFICATE
    location / {
      content_by_lua_file "$HANDLER";
      log_by_lua_file "$HANDLER";
    }
  }
]]

local function fill(template, values)
  return (template:gsub("%$(%u+)", values))
end

local function free_ports(count)
  local listeners, ports = {}, {}
  for index = 1, count do
    listeners[index] = assert(socket.bind("127.0.0.1", 0))
    local _, port = listeners[index]:getsockname()
    ports[index] = flavour.whole(tonumber(port))
  end
  for _, listener in ipairs(listeners) do
    listener:close()
  end
  return ports
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
    local module = io.open(folder .. "/ngx_http_lua_module.so", "rb")
    if module then
      module:close()
      return folder
    end
  end
  error("nginx's Lua module is not installed (script/bootstrap test installs it)", 0)
end

local CA_CONFIGURATION = [[
[ca]
default_ca = throw_away
[throw_away]
dir = $FOLDER
database = $FOLDER/index.txt
serial = $FOLDER/serial
new_certs_dir = $FOLDER
certificate = $FOLDER/ca.pem
private_key = $FOLDER/ca.key
default_md = sha256
policy = policy
unique_subject = no
copy_extensions = none
[policy]
commonName = supplied
[req]
distinguished_name = name
prompt = no
[name]
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[localhost]
basicConstraints = CA:false
subjectAltName = DNS:localhost
extendedKeyUsage = serverAuth
[other]
basicConstraints = CA:false
subjectAltName = DNS:other.example
extendedKeyUsage = serverAuth
[caller]
basicConstraints = CA:false
extendedKeyUsage = clientAuth
]]

local DAY = 24 * 60 * 60

local function asn1_date(days)
  return os.date("!%Y%m%d%H%M%SZ", os.time() + days * DAY)
end

-- A throw-away authority and its certificates: valid, for another name, expired.
local function make_certificates(folder)
  shell.write_file(folder .. "/ca.cnf", fill(CA_CONFIGURATION, { FOLDER = folder }))
  shell.write_file(folder .. "/index.txt", "")
  shell.write_file(folder .. "/serial", "1000\n")
  local here = "cd " .. shell.quote(folder) .. " && export OPENSSL_CONF=ca.cnf && unset LD_PRELOAD && "
  local new_key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
  shell.check(here .. ([[openssl req -x509 %s -keyout ca.key -out ca.pem -days 30 \
    -subj '/CN=lua-webhook throw-away CA' -config ca.cnf -extensions authority]]):format(new_key))
  local function certificate(name, host, extensions, from, to)
    shell.check(here .. ([[openssl req -new %s -keyout %s.key -out %s.csr -subj '/CN=%s' -config ca.cnf &&
      openssl ca -batch -notext -config ca.cnf -extensions %s -startdate %s -enddate %s -in %s.csr -out %s.pem]]):format(
      new_key, name, name, host, extensions, asn1_date(from), asn1_date(to), name, name))
  end
  certificate("valid", "localhost", "localhost", -2, 30)
  certificate("wrong", "other.example", "other", -2, 30)
  certificate("expired", "localhost", "localhost", -10, -1)
  certificate("caller", "caller", "caller", -2, 30)
  certificate("other_caller", "other caller", "caller", -2, 30)
end

local ASK_CALLER = [[

    ssl_verify_client on;
    ssl_client_certificate "%s/ca.pem";]]

local function server(folder, handler, port, certificate, asks_caller)
  return fill(SERVER, {
    PORT = tostring(port),
    HANDLER = handler,
    OPTIONS = certificate and " ssl http2" or "",
    CERTIFICATE = certificate
        and ('    ssl_certificate "%s/%s.pem";\n    ssl_certificate_key "%s/%s.key";'):format(
          folder, certificate, folder, certificate) .. (asks_caller and ASK_CALLER:format(folder) or "")
      or "",
  })
end

local function get(address)
  http.TIMEOUT = CONTROL_SECONDS
  local body, status = http.request(address)
  return body, status
end

local function connects(port)
  local client = socket.connect("127.0.0.1", port)
  if client then
    client:close()
  end
  return client ~= nil
end

local function try_start(self, nginx, modules, tls)
  local folder = self.folder.path
  local ports = free_ports(tls and 5 or 1)
  local handler = HANDLER
  if handler:sub(1, 1) ~= "/" then
    handler = shell.check("pwd"):gsub("%s+$", "") .. "/" .. handler
  end
  local servers = { server(folder, handler, ports[1]) }
  if tls then
    servers[2] = server(folder, handler, ports[2], "valid")
    servers[3] = server(folder, handler, ports[3], "wrong")
    servers[4] = server(folder, handler, ports[4], "expired")
    servers[5] = server(folder, handler, ports[5], "valid", true)
  end
  local root = shell.check("id -u"):gsub("%s+$", "") == "0"
  shell.write_file(folder .. "/nginx.conf", fill(CONFIGURATION, {
    MODULES = modules,
    FOLDER = folder,
    USER = root and "user root;" or "",
    SERVERS = table.concat(servers),
  }))
  local error_log = folder .. "/error.log"
  self.process = process.spawn({
    nginx, "-p", folder, "-c", folder .. "/nginx.conf", "-e", error_log,
  }, { env = { LD_PRELOAD = false, ASAN_OPTIONS = false, LUA_PATH = false, LUA_CPATH = false, NGINX = false } })
  self.pid = self.process.pid
  local base = "http://127.0.0.1:" .. ports[1]
  local answered, problem = pcall(wait.for_condition, "nginx to answer", START_SECONDS, function()
    if self.process:running() then
      for _, port in ipairs(ports) do
        if not connects(port) then
          return false
        end
      end
      local _, status = get(base .. "/_stats")
      return status == 200
    end
    error("nginx ended with code " .. self.process:exit_code(), 0)
  end)
  if not answered then
    problem = ("the receiver did not start: %s\nerror.log:\n%s%s"):format(
      problem, shell.read_file(error_log) or "", self.process:output())
    self.process:close()
    return nil, problem
  end
  self.url = base
  if tls then
    self.tls_url = "https://localhost:" .. ports[2]
    self.wrong_host_url = "https://localhost:" .. ports[3]
    self.expired_url = "https://localhost:" .. ports[4]
    self.asking_url = "https://localhost:" .. ports[5]
    self.callers = {}
    for _, name in ipairs({ "caller", "other_caller" }) do
      self.callers[name] = { cert = ("%s/%s.pem"):format(folder, name), key = ("%s/%s.key"):format(folder, name) }
    end
    self.ca_file = folder .. "/ca.pem"
    self.tls_port, self.wrong_host_port, self.expired_port = ports[2], ports[3], ports[4]
  end
  self.port = ports[1]
  self.error_log = error_log
  return true
end

--- Starts a receiver. options.tls: also serve HTTPS, with HTTP/2; at asking_url to who has the certificate of a caller.
function receiver.start(options)
  local tls = options and options.tls or false
  local nginx = find_nginx()
  local modules = find_modules(nginx)
  local self = setmetatable({ folder = temp.folder() }, Receiver)
  local started, problem = xpcall(function()
    if tls then
      make_certificates(self.folder.path)
    end
    -- Another program may take a free port before nginx does: try again.
    local failure
    for _ = 1, START_ATTEMPTS do
      local done
      done, failure = try_start(self, nginx, modules, tls)
      if done then
        return
      end
      if not failure:find("Address already in use", 1, true) then
        break
      end
    end
    error(failure, 0)
  end, function(message)
    return message
  end)
  if not started then
    self.folder:remove()
    error(problem, 2)
  end
  return self
end

--- Ends nginx and removes its folder.
function Receiver:stop()
  if not self.folder.path then
    return
  end
  self.process:kill("QUIT")
  if not pcall(self.process.wait, self.process, QUIT_SECONDS) then
    self.process:kill("KILL")
    self.process:wait(KILL_SECONDS)
  end
  self.process:close()
  self.folder:remove()
end

Receiver.__close = Receiver.stop

local function control(self, path)
  local body, status = get(self.url .. path)
  if status ~= 200 and status ~= 404 then
    error(("the receiver's %s failed: %s\n%s"):format(path, status, shell.read_file(self.error_log) or ""), 3)
  end
  return body, status
end

--- total, connections, max_concurrent, active and sent (bytes of /huge).
-- Without a path: all but sent over all paths.
function Receiver:stats(path)
  local stats = cjson.decode((control(self, "/_stats?path=" .. url.escape(path or ""))))
  for name, value in pairs(stats) do
    stats[name] = flavour.whole(value)
  end
  return stats
end

--- Number of POST requests for a path, or for all paths.
function Receiver:total(path)
  return self:stats(path).total
end

--- Number of distinct connections that brought a POST to a path, or to any.
function Receiver:connections(path)
  return self:stats(path).connections
end

--- The most POST requests that were in progress at once for a path, or for all paths.
function Receiver:max_concurrent(path)
  return self:stats(path).max_concurrent
end

--- Number of POST requests that carried this Webhook-Id.
function Receiver:count(id)
  return flavour.whole(tonumber((control(self, "/_count?id=" .. url.escape(id)))))
end

--- Table: Webhook-Id -> number of POST requests.
function Receiver:ids()
  local ids = {}
  for count, id in control(self, "/_ids"):gmatch("(%d+) ([^\n]*)\n") do
    ids[id] = flavour.whole(tonumber(count))
  end
  return ids
end

--- The Webhook-Ids of the POST requests for a path as they came, and a list of when that was (seconds).
function Receiver:order(path)
  local ids, times = {}, {}
  for time, id in control(self, "/_order?path=" .. url.escape(path)):gmatch("(%S+) ([^\n]*)\n") do
    ids[#ids + 1] = id
    times[#times + 1] = tonumber(time)
  end
  return ids, times
end

--- The last POST to a path: { headers = { [lower-case name] = value },
-- body = string, protocol = "HTTP/1.1" | "HTTP/2.0", caller = the subject of
-- the client's certificate }, or nil.
function Receiver:last(path)
  local body, status = control(self, "/_last?path=" .. url.escape(path))
  if status == 404 then
    return nil
  end
  local request = cjson.decode(body)
  request.body = mime.unb64(request.body) or ""
  return request
end

--- Forgets everything that was recorded.
function Receiver:reset()
  control(self, "/_reset")
end

return receiver
