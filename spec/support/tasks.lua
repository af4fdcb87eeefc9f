-- Many connections in one process: each is served by a coroutine, and one select waits for all of them.
local cjson = require("cjson")
local socket = require("socket")

local tasks = {}

local CHUNK = 8192
local LONGEST_WAIT_SECONDS = 1

local readers, writers = {}, {} -- socket -> the coroutine that waits for it
local sleepers = {} -- coroutine -> when it goes on

local function resume(task, ...)
  local ok, problem = coroutine.resume(task, ...)
  if not ok then
    io.stderr:write(debug.traceback(task, tostring(problem)), "\n")
    os.exit(1)
  end
end

function tasks.spawn(fn, ...)
  resume(coroutine.create(fn), ...)
end

function tasks.sleep(seconds)
  sleepers[coroutine.running()] = socket.gettime() + seconds
  coroutine.yield()
end

local function wait_in(list, client)
  list[client] = coroutine.running()
  coroutine.yield()
end

--- Bytes as they come, or nil at the end of the connection.
function tasks.read(client)
  client:settimeout(0)
  while true do
    local data, problem, partial = client:receive(CHUNK)
    data = data or partial
    if data and #data > 0 then
      return data
    end
    if problem ~= "timeout" then
      return nil
    end
    wait_in(readers, client)
  end
end

--- All bytes; nil when the other side is gone.
function tasks.write(client, bytes)
  client:settimeout(0)
  local from = 1
  while from <= #bytes do
    local last, problem, partial = client:send(bytes, from)
    if not last and problem ~= "timeout" then
      return nil
    end
    from = (last or partial) + 1
    if from <= #bytes then
      wait_in(writers, client)
    end
  end
  return true
end

--- Serves every connection that comes to a free port of 127.0.0.1 with serve(client), and closes it afterwards.
-- @return the port
function tasks.listen(serve)
  local listener = assert(socket.bind("127.0.0.1", 0, 512))
  listener:settimeout(0)
  tasks.spawn(function()
    while true do
      wait_in(readers, listener)
      local client = listener:accept()
      if client then
        tasks.spawn(function()
          serve(client)
          client:close()
        end)
      end
    end
  end)
  local _, port = listener:getsockname()
  return port
end

local function sockets_of(list)
  local sockets = {}
  for client in pairs(list) do
    sockets[#sockets + 1] = client
  end
  return sockets
end

local function wake(list, ready)
  for _, client in ipairs(ready) do
    local task = list[client]
    list[client] = nil
    if task then
      resume(task)
    end
  end
end

local function wake_sleepers(now)
  local due = {}
  for task, time in pairs(sleepers) do
    if time <= now then
      due[#due + 1] = task
    end
  end
  for _, task in ipairs(due) do
    sleepers[task] = nil
    resume(task)
  end
end

local function turn()
  local patience = LONGEST_WAIT_SECONDS
  for _, time in pairs(sleepers) do
    patience = math.min(patience, math.max(0, time - socket.gettime()))
  end
  local readable, writable = socket.select(sockets_of(readers), sockets_of(writers), patience)
  wake(readers, readable)
  wake(writers, writable)
  wake_sleepers(socket.gettime())
end

--- Tells spec/support/server.lua the ports, by name.
function tasks.announce(ports, file_name)
  local file = assert(io.open(file_name .. ".new", "w"))
  file:write(cjson.encode(ports))
  file:close()
  assert(os.rename(file_name .. ".new", file_name))
end

--- Goes on as long as the process with this id exists.
function tasks.run_beside(pid)
  local looked_at = -math.huge
  while true do
    if socket.gettime() - looked_at > LONGEST_WAIT_SECONDS then
      looked_at = socket.gettime()
      local status = io.open("/proc/" .. pid .. "/stat")
      if not status then
        return
      end
      status:close()
    end
    turn()
  end
end

return tasks
