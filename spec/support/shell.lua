-- Quoting and running shell commands.
local shell = {}

--- Quotes one word for sh.
function shell.quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

--- Quotes a list of words as one sh command.
function shell.command(words)
  local quoted = {}
  for index, word in ipairs(words) do
    quoted[index] = shell.quote(word)
  end
  return table.concat(quoted, " ")
end

--- Runs a command line; returns its output (both streams) and its exit code.
function shell.run(command_line)
  -- The code goes out as text: in Lua 5.1 a pipe that is closed does not tell it.
  local pipe = assert(io.popen("( " .. command_line .. "\n) 2>&1; echo \" $?\"", "r"))
  local output, code = pipe:read("*a"):match("^(.*) (%d+)\n$")
  pipe:close()
  return output, tonumber(code)
end

--- Runs a command line that has to succeed; returns its output.
function shell.check(command_line)
  local output, code = shell.run(command_line)
  if code ~= 0 then
    error(("command failed (%s): %s\n%s"):format(code, command_line, output), 2)
  end
  return output
end

--- The whole content of a file, or nil when it cannot be opened.
function shell.read_file(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local content = file:read("*a")
  file:close()
  return content
end

function shell.write_file(path, content)
  local file = assert(io.open(path, "wb"))
  assert(file:write(content))
  assert(file:close())
end

return shell
