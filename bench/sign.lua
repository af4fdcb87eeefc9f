-- Nanoseconds a signature of a 655-byte body, hex included, beside a bare re-initialised EVP_MAC context in C plus one call
-- from Lua to C, and beside lua-luaossl where it is installed. CPU time; the best of several turns taken in alternation,
-- because other work on the machine only ever slows down. Usage: script/bench sign [rounds]
local webhook = require "webhook"

local ROUNDS = tonumber(arg[1]) or 500000
local TURNS = 7
local SECRET, BODY = "It's a Secret to Everybody", ("x"):rep(655)
local LIMIT = 1.3

local function nanoseconds(signer)
  collectgarbage()
  local start = os.clock()
  for _ = 1, ROUNDS do signer("capawesome", SECRET, BODY) end
  return (os.clock() - start) / ROUNDS * 1e9
end

local function bare()
  local pipe = assert(io.popen(("build/bare_sign %d %d"):format(#BODY, ROUNDS)))
  local answer = pipe:read("n")
  pipe:close()
  return (assert(answer, "build/bare_sign did not run"))
end

-- What luaossl offers for it: no context can be keyed once, and hex is up to Lua.
local function luaossl()
  local found, hmac = pcall(require, "openssl.hmac")
  if not found then return nil end
  return function(_, secret, body)
    local digest = hmac.new(secret, "sha256"):final(body)
    return { ["X-Signature"] = (digest:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) }
  end
end

local theirs = luaossl()
if theirs then assert(theirs(nil, SECRET, BODY)["X-Signature"] == webhook.sign("capawesome", SECRET, BODY)["X-Signature"]) end

local measures = {
  bare = bare,
  ours = function() return nanoseconds(webhook.sign) end,
  theirs = theirs and function() return nanoseconds(theirs) end,
  call = function() return nanoseconds(rawequal) end,
}
local best = {}
for _ = 1, TURNS do
  for name, measure in pairs(measures) do best[name] = math.min(best[name] or math.huge, measure()) end
end

local function row(what, value) print(("%-58s %8.0f ns"):format(what, value)) end

row("bare EVP_MAC context in C, re-initialised", best.bare)
row("one call from Lua to C", best.call)
row("webhook.sign, with its table of headers and hex", best.ours)
if theirs then
  row("lua-luaossl, with a table and hex in Lua", best.theirs)
else
  print("lua-luaossl is not installed (Debian: lua-luaossl): not compared")
end
local ratio = (best.ours - best.call) / best.bare
print(("webhook.sign less one call is %.2f times the bare context (at most %.1f)"):format(ratio, LIMIT))
if ratio > LIMIT then os.exit(1) end
