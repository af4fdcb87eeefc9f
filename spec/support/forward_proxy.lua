-- A forward proxy (RFC 9110, 7.3.2 and 9.3.6) that wants credentials: someone with the password geheim, or another with
-- the same. Names are not resolved: everything is at 127.0.0.1. Arguments: the process to end with, a file for the
-- ports. What it was asked stands on its standard output: one JSON object a line.
local cjson = require("cjson")
local mime = require("mime")
local socket = require("socket")
local tasks = require("spec.support.tasks")

local read, write = tasks.read, tasks.write
local ALLOWED = { ["Basic " .. mime.b64("someone:geheim")] = true, ["Basic " .. mime.b64("another:geheim")] = true }

local function connect(port)
  return socket.connect("127.0.0.1", tonumber(port))
end

-- One direction; at its end the other side is told.
local function pump(from, to)
  while true do
    local bytes = read(from)
    if not bytes or not write(to, bytes) then
      pcall(to.shutdown, to, "both")
      return
    end
  end
end

local function relay(client, target, first)
  if not target then
    return write(client, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
  end
  write(target, first)
  tasks.spawn(function()
    pump(target, client)
    target:close()
  end)
  pump(client, target)
end

local function read_head(client)
  local text = ""
  while not text:find("\r\n\r\n", 1, true) do
    local more = read(client)
    if not more then
      return nil
    end
    text = text .. more
  end
  return text
end

local function serve(client)
  local text = read_head(client)
  if not text then
    return
  end
  local method, target = text:match("^(%u+) (%S+) HTTP/1.1\r\n")
  local authorization = text:match("\r\n[Pp]roxy%-[Aa]uthorization: ([^\r]*)")
  print(cjson.encode({ method = method, target = target, authorization = authorization }))
  io.stdout:flush()
  if not ALLOWED[authorization] then
    return write(client, "HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 7\r\n\r\nsecret!")
  end
  if method == "CONNECT" then
    write(client, "HTTP/1.1 200 Go on\r\nX-Proxy: 1\r\n\r\n")
    return relay(client, connect(target:match(":(%d+)$")), "")
  end
  local port, path = target:match("^http://[^/]*:(%d+)(/.*)$")
  local first = text:gsub("^%u+ %S+", function() return method .. " " .. path end)
  relay(client, connect(port), first)
end

tasks.announce({ http = tasks.listen(serve) }, arg[2])
tasks.run_beside(arg[1])
