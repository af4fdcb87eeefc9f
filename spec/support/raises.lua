-- Errors that have to point at the line of the caller.
local assert = require("luassert")

--- Calls `fn`, which has to raise an error inside its own lines whose text holds `wanted`; returns the message.
return function(wanted, fn)
  local ok, message = pcall(fn)
  assert.is_false(ok, "no error; expected: " .. wanted)
  message = tostring(message)
  assert.truthy(message:find(wanted, 1, true), ("expected: %s\ngot: %s"):format(wanted, message))
  local info = debug.getinfo(fn, "S")
  local file, line = message:match("^(.-):(%d+): ")
  assert.equal(info.short_src, file, message)
  line = tonumber(line)
  assert.is_true(line >= info.linedefined and line <= info.lastlinedefined, "wrong line: " .. message)
  return message
end
