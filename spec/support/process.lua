-- Child processes in the background, with known process ids and exit codes.
local flavour = require("spec.support.flavour")
local shell = require("spec.support.shell")
local temp = require("spec.support.temp")
local wait = require("spec.support.wait")

local process = {}

local Process = {}
Process.__index = Process

local START_SECONDS = 10
local KILLED_SECONDS = 10

--- Starts a command (a list of words) in the background.
-- options.env: table of environment variables; `false` removes one.
-- options.cwd: working folder.
function process.spawn(words, options)
  options = options or {}
  local folder = temp.folder()
  local self = setmetatable({ folder = folder }, Process)
  self.stdout_file = folder:file("stdout")
  self.stderr_file = folder:file("stderr")

  local removed, assignments = {}, {}
  for name, value in pairs(options.env or {}) do
    if value == false then
      removed[#removed + 1] = "-u"
      removed[#removed + 1] = name
    else
      assignments[#assignments + 1] = name .. "=" .. tostring(value)
    end
  end
  local command = { "env" }
  for _, list in ipairs({ removed, assignments, words }) do
    for _, word in ipairs(list) do
      command[#command + 1] = word
    end
  end

  -- The subshell stays as the parent, so it collects the exit code; `env`
  -- replaces itself by the command, so $! is the command's own id.
  local pid_file, code_file = folder:file("pid"), folder:file("code")
  local script = ([[
    cd %s || exit 1
    ( %s >%s 2>%s </dev/null &
      echo $! >%s.new; mv %s.new %s
      wait $!
      echo $? >%s.new; mv %s.new %s
    ) >/dev/null 2>&1 &]]):format(
    shell.quote(options.cwd or "."),
    shell.command(command),
    shell.quote(self.stdout_file),
    shell.quote(self.stderr_file),
    shell.quote(pid_file),
    shell.quote(pid_file),
    shell.quote(pid_file),
    shell.quote(code_file),
    shell.quote(code_file),
    shell.quote(code_file)
  )
  shell.check(script)
  self.code_file = code_file
  self.pid = wait.for_condition("the process id of " .. words[1], START_SECONDS, function()
    return tonumber(shell.read_file(pid_file) or "")
  end)
  return self
end

--- The environment of scripts that use the project's modules.
function process.lua_environment()
  return flavour.environment((shell.check("pwd"):gsub("%s+$", "")))
end

--- Starts a Lua script, in the Lua that runs the specs, with the project's modules on its path.
-- options.args: list of arguments; options.env and options.cwd: see spawn.
function process.start(script, options)
  options = options or {}
  local env = process.lua_environment()
  for name, value in pairs(options.env or {}) do
    env[name] = value
  end
  local words = { flavour.interpreter, script }
  for _, argument in ipairs(options.args or {}) do
    words[#words + 1] = argument
  end
  return process.spawn(words, { env = env, cwd = options.cwd })
end

--- The process ids of its children. (Not by pgrep, which hangs when a sanitizer is preloaded.)
function Process:children()
  local pids = {}
  for pid in (shell.read_file(("/proc/%d/task/%d/children"):format(self.pid, self.pid)) or ""):gmatch("%d+") do
    pids[#pids + 1] = flavour.whole(tonumber(pid))
  end
  return pids
end

--- The exit code (128 + signal when killed), or nil while it runs.
function Process:exit_code()
  if not self.code then
    self.code = tonumber(shell.read_file(self.code_file) or "")
  end
  return self.code
end

function Process:running()
  return self:exit_code() == nil
end

--- Sends a signal by name ("KILL", "TERM", "STOP" ...) to this process only.
function Process:kill(signal)
  if self:running() then
    os.execute(("kill -s %s %d 2>/dev/null"):format(signal or "TERM", self.pid))
  end
end

--- Waits for the end; returns the exit code. Raises an error when it is late.
function Process:wait(seconds)
  local ended = pcall(wait.for_condition, "process end", seconds, function()
    return not self:running()
  end)
  if not ended then
    error(
      ("process %d did not end within %g s; its output so far:\n%s"):format(self.pid, seconds, self:output()),
      2
    )
  end
  return self.code
end

function Process:stdout()
  return self.folder.path and shell.read_file(self.stdout_file) or ""
end

function Process:stderr()
  return self.folder.path and shell.read_file(self.stderr_file) or ""
end

--- Standard output followed by standard error.
function Process:output()
  return self:stdout() .. self:stderr()
end

--- Ends the process if it still runs and removes its files.
function Process:close()
  if not self.folder.path then
    return
  end
  if self:running() then
    self:kill("KILL")
    self:wait(KILLED_SECONDS)
  end
  self.folder:remove()
end

Process.__close = Process.close

return process
