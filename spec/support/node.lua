-- Asks JavaScript programs: a list of questions in, a list of answers out.
local cjson = require("cjson")
local mime = require("mime")
local shell = require("spec.support.shell")
local temp = require("spec.support.temp")

local node = {}

--- Bytes for a question; JSON alone cannot carry them.
function node.bytes(text)
  return { base64 = (mime.b64(text) or "") }
end

--- Runs `script` once, with the questions as JSON in a file that its argument names; returns its answers.
-- The environment has no LD_PRELOAD: a sanitizer's allocator is not for Node.
function node.ask(script, questions)
  return temp.with_folder(function(_, folder)
    shell.write_file(folder:file("questions.json"), cjson.encode(questions))
    local output, code = shell.run("env -u LD_PRELOAD " .. shell.command({ "node", script, folder:file("questions.json") }))
    if code ~= 0 then
      error(("%s failed (%s):\n%s"):format(script, code, output), 2)
    end
    local answers = cjson.decode(output)
    assert(#answers == #questions, "as many answers as questions")
    return answers
  end)
end

return node
