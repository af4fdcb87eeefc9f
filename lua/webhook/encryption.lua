--- The options encryption_key and old_encryption_keys of webhook.open. Their values go to the core and are kept nowhere here.
local encryption = {}

--- Raises where the list holds what is no string. The core says what is wrong with a string.
function encryption.check(options, level)
  for i, key in ipairs(options.old_encryption_keys or {}) do
    if type(key) ~= "string" then
      error(("webhook.open: old_encryption_keys[%d] must be a string, got %s"):format(i, type(key)), level + 1)
    end
  end
end

return encryption
