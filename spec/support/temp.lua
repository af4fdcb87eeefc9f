-- Temporary folders that are removed again.
local shell = require("spec.support.shell")
local with = require("spec.support.with")

local temp = {}

local Folder = {}
Folder.__index = Folder

--- A fresh, empty folder.
function temp.folder()
  local path = shell.check('mktemp -d "${TMPDIR:-/tmp}/lua-webhook.XXXXXXXX"'):gsub("%s+$", "")
  return setmetatable({ path = path }, Folder)
end

--- Calls `fn(path, folder)` and removes the folder however that ends.
function temp.with_folder(fn)
  return with(temp.folder(), function(folder)
    return fn(folder.path, folder)
  end)
end

--- The path of `name` inside the folder.
function Folder:file(name)
  return self.path .. "/" .. name
end

function Folder:remove()
  if self.path then
    shell.check("rm -rf -- " .. shell.quote(self.path))
    self.path = nil
  end
end

Folder.__close = Folder.remove
Folder.__gc = function(self)
  pcall(Folder.remove, self)
end

return temp
