-- The npm packages of others verify what we sign, and we verify what they sign.
local node = require("spec.support.node")
local samples = require("spec.support.samples")
local shell = require("spec.support.shell")
local webhook = require("webhook")

local FOLDER = "build/interop"

local function ask(questions)
  return node.ask(FOLDER .. "/peer.mjs", questions)
end

local GITHUB, STANDARD = "@octokit/webhooks-methods", "standardwebhooks"

local BODIES = {
  "{}",
  '{"event":"job_finished","data":{"status":"failed"}}',
  '{"note":"h\195\169llo \240\159\154\128"}',
  "plain text\nwith two lines",
  '{"long":"' .. ("x"):rep(100000) .. '"}',
}

local SECRETS = {
  [GITHUB] = { "x", "It's a Secret to Everybody", "p\195\164ssword", ("k"):rep(64), ("k"):rep(65), ("k"):rep(1000) },
  [STANDARD] = {},
}
-- HMAC fills keys up with zeros: a key must not be another and zeros.
for _, length in ipairs({ 24, 25, 26, 32, 63, 64 }) do
  table.insert(SECRETS[STANDARD], "whsec_" .. samples.base64(("\255\1k"):rep(length):sub(1, length)))
end

local SCHEMES = { [GITHUB] = "github", [STANDARD] = "standard" }

-- One character of the last header value, or of the body, changed.
local function tampered(headers, name)
  local copy = {}
  for key, value in pairs(headers) do
    copy[key] = value
  end
  local value = copy[name]
  local at = #value - 5
  copy[name] = value:sub(1, at - 1) .. (value:sub(at, at) == "0" and "1" or "0") .. value:sub(at + 1)
  return copy
end

for _, package in ipairs({ GITHUB, STANDARD }) do
  local scheme = SCHEMES[package]

  describe("the npm package " .. package, function()
    local signature_header = scheme == "github" and "X-Hub-Signature-256" or "webhook-signature"
    local now, messages

    setup(function()
      shell.check("env -u LD_PRELOAD script/interop " .. shell.quote(FOLDER))
      now = os.time()
      messages = {}
      for number, secret in ipairs(SECRETS[package]) do
        for index, body in ipairs(BODIES) do
          local id = scheme == "standard" and ("msg_%d_%d"):format(number, index) or nil
          messages[#messages + 1] = { secret = secret, body = body, id = id, timestamp = id and now }
        end
      end
    end)

    local function peer_signs()
      local questions = {}
      for index, message in ipairs(messages) do
        questions[index] = {
          package = package,
          action = "sign",
          secret = message.secret,
          body = node.bytes(message.body),
          id = message.id,
          timestamp = message.timestamp,
        }
      end
      return ask(questions)
    end

    local function we_sign(message)
      return assert(webhook.sign(scheme, message.secret, message.body, {
        id = message.id,
        timestamp = message.timestamp,
      }))
    end

    -- cases: a list of { headers, body, secrets }; returns the list of the package's answers.
    local function peer_verifies(cases)
      local questions = {}
      for index, case in ipairs(cases) do
        questions[index] = {
          package = package,
          action = "verify",
          headers = case[1],
          body = node.bytes(case[2]),
          secrets = case[3],
        }
      end
      return ask(questions)
    end

    it("signs what we verify", function()
      for index, headers in ipairs(peer_signs()) do
        local message = messages[index]
        local ok, proven = webhook.verify(scheme, message.secret, headers, message.body)
        assert.is_true(ok, proven)
        assert.same({ scheme = scheme, id = message.id, timestamp = message.timestamp, secret_index = 1 }, proven)
      end
    end)

    it("verifies what we sign", function()
      local cases = {}
      for index, message in ipairs(messages) do
        cases[index] = { we_sign(message), message.body, { message.secret } }
      end
      for index, answer in ipairs(peer_verifies(cases)) do
        assert.is_true(answer, messages[index].secret .. ": " .. tostring(answer))
      end
    end)

    it("makes the same bytes as we do", function()
      for index, headers in ipairs(peer_signs()) do
        local ours = {}
        for name, value in pairs(we_sign(messages[index])) do
          ours[name:lower()] = value
        end
        for name, value in pairs(headers) do
          assert.equal(value, ours[name:lower()])
        end
      end
    end)

    it("signs with a rotated secret what we verify", function()
      for index, headers in ipairs(peer_signs()) do
        local message = messages[index]
        local other = SECRETS[package][message.secret == SECRETS[package][1] and 2 or 1]
        local ok, proven = webhook.verify(scheme, { other, message.secret }, headers, message.body)
        assert.is_true(ok, proven)
        assert.equal(2, proven.secret_index)
      end
    end)

    it("verifies, with one of two secrets, what we sign while rotating", function()
      local cases = {}
      for index, message in ipairs(messages) do
        local other = SECRETS[package][message.secret == SECRETS[package][1] and 2 or 1]
        -- github has room for one signature, standard for one by each secret.
        local headers = scheme == "github" and we_sign(message)
          or assert(webhook.sign(scheme, { other, message.secret }, message.body, {
            id = message.id,
            timestamp = message.timestamp,
          }))
        local accepted = scheme == "github" and { other, message.secret } or { message.secret }
        cases[index] = { headers, message.body, accepted }
      end
      for _, answer in ipairs(peer_verifies(cases)) do
        assert.is_true(answer)
      end
    end)

    it("refuses what we refuse: a tampered body or signature, another secret", function()
      local cases = {}
      for _, message in ipairs(messages) do
        local headers = we_sign(message)
        local other = SECRETS[package][message.secret == SECRETS[package][1] and 2 or 1]
        cases[#cases + 1] = { headers, message.body .. " ", { message.secret } }
        cases[#cases + 1] = { tampered(headers, signature_header), message.body, { message.secret } }
        cases[#cases + 1] = { headers, message.body, { other } }
        if scheme == "standard" then
          cases[#cases + 1] = { tampered(headers, "webhook-id"), message.body, { message.secret } }
        end
      end
      for index, answer in ipairs(peer_verifies(cases)) do
        local headers, body, secrets = table.unpack(cases[index])
        assert.is_string(answer)
        assert.is_nil((webhook.verify(scheme, secrets, headers, body)))
      end
    end)

    if scheme == "standard" then
      it("draws the line of time where we do", function()
        local cases, wanted = {}, {}
        for _, away in ipairs({ -400, -310, -290, 0, 290, 310, 400 }) do
          local message = { secret = messages[1].secret, body = "{}", id = "msg", timestamp = os.time() + away }
          cases[#cases + 1] = { we_sign(message), message.body, { message.secret } }
          wanted[#wanted + 1] = math.abs(away) <= 300
        end
        for index, answer in ipairs(peer_verifies(cases)) do
          local headers, body, secrets = table.unpack(cases[index])
          assert.equal(wanted[index], answer == true, tostring(answer))
          assert.equal(wanted[index] or nil, (webhook.verify(scheme, secrets, headers, body)))
        end
      end)
    end
  end)
end
