-- See script/torture.
local counting_receiver = require "spec.support.counting_receiver"
local nginx_app = require "spec.support.nginx_app"
local process = require "spec.support.process"
local shell = require "spec.support.shell"
local socket = require "socket"
local temp = require "spec.support.temp"
local wait = require "spec.support.wait"
local webhook = require "webhook"

local SECONDS = tonumber(arg[1]) or 30
local RATE, CONNECTIONS = 2000, 64 -- requests a second
local RELOADS, RESTARTS, KILLS = 10, 5, 20
local FULL, LOCKS, LOCK_SECONDS = 5, 5, 3
local DISK = "6m" -- the size of the disk that is filled
local LONG, ARRIVE_SECONDS = 60, 180

local seed = os.time()
math.randomseed(seed)

local function say(...) io.stdout:write(("   " .. string.format(...)) .. "\n") io.stdout:flush() end

-- -- what must hold in the end ----------------------------------------------------------------------------------------------

local function count(set)
  local n = 0
  for _ in pairs(set) do n = n + 1 end
  return n
end

-- accepted: event's id -> who took it. may_repeat(id): it may have come more than once. A repeated one has its one Webhook-Id.
local function check(receiver, accepted, may_repeat)
  assert(next(accepted), "nothing was accepted")
  local missing
  local arrived, problem = pcall(wait.for_condition, "every accepted event", ARRIVE_SECONDS, function()
    if receiver:deliveries() < count(accepted) then return false end
    local events = receiver:events()
    missing = nil
    for id in pairs(accepted) do
      if not events[id] then missing = id end
    end
    if missing then socket.sleep(0.5) end -- not to load it with this question
    return not missing
  end)
  if not arrived then error(("%s; missing is, for one, %s"):format(problem, missing), 0) end
  local repeated = 0
  for id, event in pairs(receiver:events()) do
    assert(event.ids == 1, id .. " came under more than one Webhook-Id")
    if event.requests > 1 then
      repeated = repeated + 1
      assert(may_repeat(id), id .. " came more than once")
    end
  end
  say("%d events were accepted, all arrived; %d came more than once", count(accepted), repeated)
end

local function never() return false end
local function always() return true end

-- All events of the app go to the receiver. @return the database
local function make_database(folder, receiver)
  local path = folder:file("webhooks.db")
  local hooks <close> = assert(webhook.open(path, { allow_networks = { "127.0.0.0/8" } }))
  assert(hooks.webhooks:create { name = "w", app_id = "app", url = receiver.url .. "/ok", events = { "*" } })
  return path
end

-- -- nginx --------------------------------------------------------------------------------------------------------------------

local HTTP = [[
  keepalive_requests 1000000000;
  init_worker_by_lua_block { require("app").start("$DATABASE") }
  exit_worker_by_lua_block { require("app").stop() }
  server {
    listen 127.0.0.1:$PORT reuseport;
    location / { content_by_lua_block { require("app").content() } }
  }
]]

local function start_nginx(database)
  return nginx_app.start {
    http = HTTP:gsub("%$(%u+)", { DATABASE = database }),
    workers = 2, files = { ["app.lua"] = shell.read_file("script/torture.d/app.lua") },
  }
end

-- Calls fn(load) while requests come at the rate; adds to `accepted`: event's id -> the worker's process id.
local function under_load(app, prefix, seconds, accepted, fn)
  local file = app.folder:file("answers")
  local load = process.spawn { "build/load", app.port, "/" .. prefix, RATE, seconds, CONNECTIONS, file }
  local ok, problem = xpcall(fn, debug.traceback, load)
  if app.process:running() then
    load:wait(seconds + LONG)
    say("load: %s", (load:output():gsub("%s+$", "")))
  end
  load:close()
  for line in io.lines(file) do
    local id, pid = line:match("^%S+ (%S+) (%d+)$")
    if id then accepted[id] = tonumber(pid) end
  end
  if not ok then error(problem, 0) end
end

local function reloads(folder, receiver)
  local app = start_nginx(make_database(folder, receiver))
  local accepted, killed = {}, nil
  under_load(app, "reload", SECONDS, accepted, function(load)
    for round = 1, RELOADS do
      socket.sleep(SECONDS / (RELOADS + 2))
      app:reload(2)
      if round == RELOADS // 2 then
        local workers = app:workers()
        killed = workers[#workers] -- a new one
        shell.check("kill -KILL " .. killed)
        say("killed worker %d", killed)
      end
    end
    assert(load:running(), "the load ended before the reloads")
  end)
  -- Without an answer nobody knows which worker had it.
  check(receiver, accepted, function(id) return accepted[id] == nil or accepted[id] == killed end)
  app:stop()
end

local function restarts(folder, receiver)
  local accepted, database = {}, make_database(folder, receiver)
  for round = 1, RESTARTS do
    local app = start_nginx(database)
    under_load(app, "restart" .. round, SECONDS, accepted, function()
      socket.sleep(SECONDS / RESTARTS * (0.5 + math.random() / 2))
      local workers = app:workers()
      app.process:kill("KILL") -- the master first: it would start others
      shell.check("kill -KILL " .. table.concat(workers, " "))
      app.process:wait(LONG)
    end)
    app:stop()
    say("round %d of %d: killed all, %d events accepted so far", round, RESTARTS, count(accepted))
  end
  local app = start_nginx(database)
  check(receiver, accepted, always)
  app:stop()
end

-- -- a plain Lua process ------------------------------------------------------------------------------------------------------

local function start_child(folder, prefix)
  return process.start("script/torture.d/child.lua", { args = { folder:file("webhooks.db"), prefix, folder:file("stop") } })
end

local function add_stored(child, accepted)
  for id in child:stdout():gmatch("stored (%S+)\n") do accepted[id] = true end
end

-- Waits until the child has said so more often than before.
local function await_words(child, words)
  local function said() return select(2, child:stdout():gsub(words, "")) end
  local before = said()
  wait.for_condition("'" .. words .. "'", LONG, function()
    assert(child:running(), child:stderr())
    return said() > before
  end)
end

local function finish(folder, child, accepted)
  shell.write_file(folder:file("stop"), "")
  assert(child:wait(ARRIVE_SECONDS) == 0, child:stderr())
  add_stored(child, accepted)
  child:close()
end

local function kills(folder, receiver)
  local accepted = {}
  make_database(folder, receiver)
  for round = 1, KILLS do
    local child = start_child(folder, ("kill%d-"):format(round))
    await_words(child, "stored")
    socket.sleep(math.random() * SECONDS / KILLS)
    child:kill("KILL")
    child:wait(LONG)
    add_stored(child, accepted)
    child:close()
    say("round %d of %d: %d events accepted so far", round, KILLS, count(accepted))
  end
  local child = start_child(folder, "last-")
  await_words(child, "stored")
  finish(folder, child, accepted)
  check(receiver, accepted, always)
end

-- Until nothing fits any more, to the last byte.
local function fill(file)
  shell.run(("dd if=/dev/zero of=%s bs=64k; dd if=/dev/zero of=%s bs=1 oflag=append conv=notrunc count=65536"):format(
    shell.quote(file), shell.quote(file)))
end

local function full_disk(folder, receiver)
  if not shell.check("id -u"):match("^0%s") then return "only root can mount a small disk" end
  local disk = { path = folder:file("disk"), file = folder.file }
  shell.check(("mkdir %s && mount -t tmpfs -o size=%s tmpfs %s"):format(disk.path, DISK, disk.path))
  local ok, problem = xpcall(function()
    make_database(disk, receiver)
    local accepted, child = {}, start_child(disk, "full-")
    for round = 1, FULL do
      await_words(child, "stored")
      fill(disk:file("filler"))
      await_words(child, "refused full")
      shell.check("rm " .. disk:file("filler"))
      say("round %d of %d: the disk was full", round, FULL)
    end
    await_words(child, "stored")
    finish(disk, child, accepted)
    check(receiver, accepted, never)
  end, debug.traceback)
  shell.check("umount -l " .. disk.path)
  if not ok then error(problem, 0) end
end

local function locks(folder, receiver)
  make_database(folder, receiver)
  local accepted, child = {}, start_child(folder, "lock-")
  for round = 1, LOCKS do
    await_words(child, "stored")
    socket.sleep(math.random())
    local release = folder:file("release" .. round)
    local holder = process.spawn { "luajit", "spec/support/lock_child.lua", folder:file("webhooks.db"), release }
    wait.for_condition("the lock", LONG, function() return holder:stdout() == "locked\n" end)
    local seconds = math.random() * LOCK_SECONDS
    socket.sleep(seconds)
    shell.write_file(release, "")
    assert(holder:wait(LONG) == 0, holder:output())
    holder:close()
    say("round %d of %d: locked for %.1f s", round, LOCKS, seconds)
  end
  await_words(child, "stored")
  finish(folder, child, accepted)
  check(receiver, accepted, never)
end

-- -- all of it ----------------------------------------------------------------------------------------------------------------

local ATTACKS = {
  { ("%d reloads and a killed worker under %d requests/s"):format(RELOADS, RATE), reloads },
  { "nginx killed as a whole under load, and started again", restarts },
  { "a process killed at random moments", kills },
  { "a disk that is full, and not any more", full_disk },
  { "a database that another process locks", locks },
}

local passed, failed = 0, 0

local function tell(ok, result, seconds)
  if not ok then
    failed = failed + 1
    return "FAILED: " .. tostring(result)
  elseif result then
    return "skipped: " .. result
  end
  passed = passed + 1
  return ("passed, %.0f s"):format(seconds)
end

print("seed " .. seed)
for _, attack in ipairs(ATTACKS) do
  print("== " .. attack[1])
  local began = socket.gettime()
  local folder, receiver = temp.folder(), counting_receiver.start()
  local ok, result = xpcall(attack[2], debug.traceback, folder, receiver)
  receiver:stop()
  if ok then folder:remove() else say("what is left is in %s", folder.path) end
  say("%s", tell(ok, result, socket.gettime() - began))
end
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and 0 or 1)
