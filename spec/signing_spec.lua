-- How deliveries are signed: by which schemes, and with which secrets while one replaces another.
local raises = require("spec.support.raises")
local sample = require("spec.support.sample")
local socket = require("socket")
local start_receiver = require("spec.support.receiver").start
local temp = require("spec.support.temp")
local wait = require("spec.support.wait")
local webhook = require("webhook")

local TEXT = "a secret with ümlauts"
local WHSK = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
local WHPK = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
local BOTH = { "capawesome", "standard" }

describe("signing", function()
  local receiver, folder, hooks

  setup(function()
    receiver = start_receiver()
  end)

  teardown(function()
    receiver:stop()
  end)

  before_each(function()
    receiver:reset()
    folder = temp.folder()
  end)

  after_each(function()
    if hooks then
      hooks:close(0)
      hooks = nil
    end
    folder:remove()
  end)

  local function open(options)
    hooks = sample.open(folder, options)
    return hooks
  end

  local function hook_to(path, fields)
    return sample.hook(hooks, receiver.url .. path, fields)
  end

  -- What the receiver got from one delivery, and the delivery.
  local function deliver(path)
    local delivery = sample.deliver(hooks)
    return receiver:last(path or "/ok"), delivery
  end

  local function verifies(scheme, secret, request)
    local ok, proof, code = webhook.verify(scheme, secret, request.headers, request.body)
    assert.is_true(ok, tostring(proof) .. " " .. tostring(code))
    return proof
  end

  local function refuses(scheme, secret, request)
    local ok, _, code = webhook.verify(scheme, secret, request.headers, request.body)
    assert.is_nil(ok)
    return code
  end

  local function signatures(request)
    local _, count = request.headers["webhook-signature"]:gsub("v1a?,", "")
    return count
  end

  local function invalid(what, secret, record, message, code)
    assert.is_nil(record)
    assert.equal("invalid", code, message)
    assert.truthy(message:find(what, 1, true), message)
    if secret and secret ~= "" then
      assert.is_nil(message:find(secret, 1, true), message)
    end
  end

  it("is capawesome where nothing is said", function()
    open()
    local hook = hook_to("/ok", { signing_secret = TEXT })
    assert.same({ "capawesome" }, hook.signing)
    local request = deliver()
    verifies("capawesome", TEXT, request)
    assert.is_nil(request.headers["webhook-signature"])
    assert.is_nil(request.headers["webhook-timestamp"])
    assert.is_string(request.headers["webhook-id"])
  end)

  it("by standard is what a receiver of Standard Webhooks accepts", function()
    open()
    local secret = webhook.generate_secret()
    local hook = hook_to("/ok", { signing_secret = secret, signing = "standard" })
    assert.same({ "standard" }, hook.signing)
    assert.is_true(hook.signed)
    local before = os.time()
    local request, delivery = deliver()
    local proof = verifies("standard", secret, request)
    assert.equal(delivery.id, proof.id)
    assert.equal(delivery.id, request.headers["webhook-id"])
    assert.is_true(proof.timestamp >= before and proof.timestamp <= os.time())
    assert.equal(1, signatures(request))
    assert.is_nil(request.headers["x-signature"])
    assert.equal("mismatch", refuses("standard", webhook.generate_secret(), request))
    request.body = request.body .. " "
    assert.equal("mismatch", refuses("standard", secret, request))
  end)

  it("by standard with an ed25519 key verifies with its public half", function()
    open()
    hook_to("/ok", { signing_secret = WHSK, signing = { "standard" } })
    local request = deliver()
    assert.equal("v1a,", request.headers["webhook-signature"]:sub(1, 4))
    verifies("standard", WHPK, request)
  end)

  it("by both carries both", function()
    open()
    local secret = webhook.generate_secret()
    local hook = hook_to("/ok", { signing_secret = secret, signing = { "standard", "capawesome", "standard" } })
    assert.same(BOTH, hook.signing)
    assert.same(hook, hooks.webhooks:get(hook.id))
    local request = deliver()
    verifies("capawesome", secret, request)
    verifies("standard", secret, request)
  end)

  it("gives a retry a timestamp of its own and the same id", function()
    open({ retry = { 1.5 } })
    local secret = webhook.generate_secret()
    hook_to("/flaky/1", { signing_secret = secret, signing = "standard" })
    assert(hooks:emit(sample.job_finished()))
    local first = wait.for_condition("the first attempt", 5, function()
      return receiver:last("/flaky/1")
    end)
    wait.for_condition("the second attempt", 10, function()
      return receiver:total("/flaky/1") == 2
    end)
    local second = receiver:last("/flaky/1")
    local one, two = verifies("standard", secret, first), verifies("standard", secret, second)
    assert.equal(one.id, two.id)
    assert.is_true(two.timestamp > one.timestamp)
    assert.not_equal(first.headers["webhook-signature"], second.headers["webhook-signature"])
  end)

  it("changes with the webhook", function()
    open()
    local secret = webhook.generate_secret()
    local hook = hook_to("/ok", { signing_secret = secret })
    assert.same(BOTH, assert(hooks.webhooks:update(hook.id, { signing = BOTH })).signing)
    verifies("standard", secret, (deliver()))
    assert.same({ "capawesome" }, assert(hooks.webhooks:update(hook.id, { signing = false })).signing)
    local request = deliver()
    verifies("capawesome", secret, request)
    assert.is_nil(request.headers["webhook-signature"])
  end)

  it("is still known when the file is opened again", function()
    open()
    local old, new = webhook.generate_secret(), webhook.generate_secret()
    local hook = hook_to("/ok", { signing_secret = old, signing = BOTH })
    assert(hooks.webhooks:rotate_secret(hook.id, new))
    hooks:close()
    open()
    assert.same(BOTH, hooks.webhooks:get(hook.id).signing)
    local request = deliver()
    verifies("standard", old, request)
    verifies("standard", new, request)
  end)

  describe("rotation", function()
    it("lets both secrets verify during the overlap, and the old one no longer after it", function()
      open()
      local old, new = webhook.generate_secret(), webhook.generate_secret()
      local hook = hook_to("/ok", { signing_secret = old, signing = BOTH })
      local rotated = assert(hooks.webhooks:rotate_secret(hook.id, new, { overlap = 1 }))
      assert.is_true(rotated.signed)
      assert.is_true(rotated.updated_at >= hook.updated_at)
      assert.same(rotated, hooks.webhooks:get(hook.id))
      for _, value in pairs(rotated) do
        assert.is_true(value ~= old and value ~= new)
      end
      local request = deliver()
      assert.equal(2, signatures(request))
      verifies("standard", old, request)
      verifies("standard", new, request)
      verifies("capawesome", new, request)
      assert.equal("mismatch", refuses("capawesome", old, request))
      wait.for_condition("the end of the overlap", 5, function()
        return socket.gettime() * 1000 > rotated.updated_at + 1000
      end)
      request = deliver()
      assert.equal(1, signatures(request))
      verifies("standard", new, request)
      assert.equal("mismatch", refuses("standard", old, request))
    end)

    it("overlaps with the rotations before it", function()
      open()
      local secrets = { webhook.generate_secret(), WHSK, webhook.generate_secret() }
      local hook = hook_to("/ok", { signing_secret = secrets[1], signing = "standard" })
      assert(hooks.webhooks:rotate_secret(hook.id, secrets[2]))
      assert(hooks.webhooks:rotate_secret(hook.id, secrets[3]))
      local request = deliver()
      assert.equal(3, signatures(request))
      verifies("standard", secrets[1], request)
      verifies("standard", WHPK, request)
      verifies("standard", secrets[3], request)
      -- Back to the first: it signs once.
      assert(hooks.webhooks:rotate_secret(hook.id, secrets[1], { overlap = 0 }))
      request = deliver()
      assert.equal(2, signatures(request))
      verifies("standard", secrets[1], request)
      verifies("standard", WHPK, request)
      assert.equal("mismatch", refuses("standard", secrets[3], request))
    end)

    it("has an end to what can overlap", function()
      open()
      local secret = webhook.generate_secret()
      local hook = hook_to("/ok", { signing_secret = secret, signing = "standard" })
      for _ = 1, 15 do
        assert(hooks.webhooks:rotate_secret(hook.id, webhook.generate_secret()))
      end
      invalid("15 old secrets", secret, hooks.webhooks:rotate_secret(hook.id, webhook.generate_secret()))
      local request = deliver()
      assert.equal(16, signatures(request))
      verifies("standard", secret, request)
      assert(hooks.webhooks:rotate_secret(hook.id, webhook.generate_secret(), { overlap = 0 }))
    end)

    it("of X-Signature alone takes effect at once", function()
      open()
      local hook = hook_to("/ok", { signing_secret = TEXT })
      assert(hooks.webhooks:rotate_secret(hook.id, "another"))
      local request = deliver()
      verifies("capawesome", "another", request)
      assert.equal("mismatch", refuses("capawesome", TEXT, request))
    end)

    it("leaves nothing of a secret that update replaces or that no longer signs", function()
      open()
      local old, new, other = webhook.generate_secret(), webhook.generate_secret(), webhook.generate_secret()
      local hook = hook_to("/ok", { signing_secret = old, signing = "standard" })
      assert(hooks.webhooks:rotate_secret(hook.id, new))
      assert(hooks.webhooks:update(hook.id, { name = "still both" }))
      assert.equal(2, signatures((deliver())))
      assert(hooks.webhooks:update(hook.id, { signing_secret = other }))
      local request = deliver()
      assert.equal(1, signatures(request))
      verifies("standard", other, request)
      assert(hooks.webhooks:rotate_secret(hook.id, new))
      assert(hooks.webhooks:update(hook.id, { signing = "capawesome" }))
      assert(hooks.webhooks:update(hook.id, { signing = "standard" }))
      assert.equal(1, signatures((deliver())))
    end)

    it("refuses what cannot be, and changes nothing then", function()
      open()
      local secret = webhook.generate_secret()
      local hook = hook_to("/ok", { signing_secret = secret, signing = "standard" })
      local plain, chat = hook_to("/other"), hook_to("/other", { format = "slack" })
      local function rotate(...)
        return hooks.webhooks:rotate_secret(...)
      end
      invalid("no signing_secret", TEXT, rotate(plain.id, TEXT))
      invalid("no signing_secret", TEXT, rotate(chat.id, TEXT))
      invalid("the one in use", secret, rotate(hook.id, secret))
      invalid("whsec_", TEXT, rotate(hook.id, TEXT))
      invalid("public key", WHPK, rotate(hook.id, WHPK))
      invalid("signing_secret", "", rotate(hook.id, ""))
      invalid("signing_secret", nil, rotate(hook.id, ("x"):rep(513)))
      invalid("NUL", nil, rotate(hook.id, "whsec_\0"))
      for _, id in ipairs({ "no id", ("0"):rep(8) .. "-0000-7000-8000-" .. ("0"):rep(12) }) do
        assert.equal("not_found", (select(3, rotate(id, webhook.generate_secret()))))
      end
      assert.same(hook, hooks.webhooks:get(hook.id))
      assert.is_false(hooks.webhooks:get(plain.id).signed)
      raises("a secret expected, got nil", function()
        hooks.webhooks:rotate_secret(hook.id)
      end)
      raises("unknown option 'overlp' (did you mean 'overlap'?)", function()
        hooks.webhooks:rotate_secret(hook.id, secret, { overlp = 1 })
      end)
      for _, overlap in ipairs({ -1, 0 / 0, 1 / 0 }) do
        raises("option 'overlap' must be 0 to ", function()
          hooks.webhooks:rotate_secret(hook.id, secret, { overlap = overlap })
        end)
      end
    end)
  end)

  it("refuses what cannot be, at create and at update", function()
    open()
    local hook = hook_to("/ok", { signing_secret = TEXT })
    local function refused(what, fields)
      local all = { name = "x", url = "https://example.invalid/", events = { "*" }, signing_secret = TEXT }
      for name, value in pairs(fields) do
        all[name] = value
      end
      invalid(what, fields.signing_secret or TEXT, hooks.webhooks:create(all))
      invalid(what, fields.signing_secret or TEXT, hooks.webhooks:update(hook.id, fields))
      assert.same(hook, hooks.webhooks:get(hook.id))
    end
    refused("unknown scheme 'standrd' (did you mean 'standard'?)", { signing = "standrd" })
    refused("unknown scheme 'github'", { signing = { "capawesome", "github" } })
    refused("the list is empty", { signing = {} })
    refused("whsec_", { signing = "standard" })
    refused("whsec_", { signing = BOTH })
    refused("whsec_", { signing = "standard", signing_secret = "whsec_c2hvcnQ=" })
    refused("whsk_", { signing = "standard", signing_secret = "whsk_c2hvcnQ=" })
    refused("public key", { signing = "standard", signing_secret = WHPK })
    refused("only the raw format is signed", { format = "slack", signing = "standard", signing_secret = WHSK })
    invalid("needs a signing_secret", nil,
      hooks.webhooks:create({ name = "x", url = "https://example.invalid/", events = { "*" }, signing = "standard" }))
    raises("option 'signing' must be ", function()
      hooks.webhooks:update(hook.id, { signing = 7 })
    end)
    raises("signing[1] must be a string, got number", function()
      hooks.webhooks:update(hook.id, { signing = { 7 } })
    end)
    -- As it is, a text is a secret for capawesome only.
    assert(hooks.webhooks:update(hook.id, { signing = "standard", signing_secret = WHSK }))
    invalid("whsec_", TEXT, hooks.webhooks:update(hook.id, { signing_secret = TEXT }))
  end)

  it("generates secrets", function()
    local seen = {}
    for _ = 1, 100 do
      local secret = webhook.generate_secret()
      assert.truthy(secret:match("^whsec_[%w+/]+=$"), secret)
      assert.equal(#"whsec_" + 44, #secret)
      assert.is_nil(seen[secret])
      seen[secret] = true
    end
  end)

  describe("of webhook.send", function()
    local function send(fields)
      local all = { url = receiver.url .. "/ok", event = sample.job_finished() }
      for name, value in pairs(fields) do
        all[name] = value
      end
      return webhook.send(all)
    end

    it("goes by the same schemes", function()
      local secret = webhook.generate_secret()
      local delivery = assert(send({ signing_secret = secret, signing = BOTH }))
      local request = receiver:last("/ok")
      assert.equal(delivery.id, verifies("standard", secret, request).id)
      verifies("capawesome", secret, request)
      assert(send({ signing_secret = WHSK, signing = "standard" }))
      request = receiver:last("/ok")
      verifies("standard", WHPK, request)
      assert.is_nil(request.headers["x-signature"])
      assert(send({ signing_secret = TEXT, headers = { ["Webhook-Signature"] = "mine" } }))
      assert.equal("mine", receiver:last("/ok").headers["webhook-signature"])
    end)

    it("refuses what cannot be", function()
      assert.equal("bad_secret", (select(3, send({ signing_secret = TEXT, signing = "standard" }))))
      raises("unknown scheme 'standrd' (did you mean 'standard'?)", function()
        webhook.send({ url = "http://a/", event = sample.job_finished(), signing_secret = TEXT, signing = "standrd" })
      end)
      raises("'signing' needs a 'signing_secret'", function()
        webhook.send({ url = "http://a/", event = sample.job_finished(), signing = "standard" })
      end)
      raises("'Webhook-Timestamp' is set by us", function()
        webhook.send({
          url = "http://a/", event = sample.job_finished(), signing_secret = WHSK, signing = "standard",
          headers = { ["Webhook-Timestamp"] = "1" },
        })
      end)
    end)
  end)
end)
