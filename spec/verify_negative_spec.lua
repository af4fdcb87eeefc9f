-- What webhook.verify refuses: never a crash, never "ok", always a reason for people and a code for programs.
-- Where a value is wrong in itself (a timestamp, an id), Node has signed it rightly, so that only the check of that
-- value can refuse it.
local raises = require("spec.support.raises")
local samples = require("spec.support.samples")
local webhook = require("webhook")

local TOLERANCE = 300

local SHAPE = { bad_format = true }
local WRONG = { mismatch = true }
local SHAPE_OR_WRONG = { bad_format = true, mismatch = true }
-- A changed header may look like a missing one ("u=17…" instead of Stripe's "t=17…"), or like a later or earlier time.
local ANY = { bad_format = true, mismatch = true, missing_header = true, stale = true }

local function show(value)
  return ("%q"):format(tostring(value))
end

-- One call of verify that has to be refused; changes: secrets, headers, body, options.
local function refused(codes, kind, changes, what)
  local headers = changes.headers or samples.headers_of(kind)
  local secrets = changes.secrets or kind.secret
  local ok, reason, code = webhook.verify(
    kind.scheme, secrets, headers, changes.body or kind.body, samples.options_of(kind, changes.options)
  )
  if ok ~= nil or type(reason) ~= "string" or reason == "" or not codes[code] then
    error(("%s: not refused as it should be: %s, %s, %s"):format(what, tostring(ok), show(reason), show(code)), 2)
  end
  -- Neither the secret nor the right signature may be in the reason.
  if type(secrets) == "string" and #secrets > 8 and kind.scheme ~= "discord" then
    assert.is_nil(reason:find(secrets, 1, true), reason)
  end
  local right = samples.headers_of(kind)[kind.signature_header]
  assert.is_nil(reason:find(right, 1, true), reason)
  return reason
end

local function flip(text, at, bit)
  local byte, value = text:byte(at), 2 ^ bit
  local is_set = math.floor(byte / value) % 2 == 1
  return text:sub(1, at - 1) .. string.char(is_set and byte - value or byte + value) .. text:sub(at + 1)
end

-- The part of a signature header after its prefix, where hex or base64 stands.
local function split_signature(value)
  local prefix, digits = value:match("^(.*v1a?[,=])(.*)$")
  if not prefix then
    prefix, digits = value:match("^(sha256=)(.*)$")
  end
  if not prefix then
    prefix, digits = value:match("^(v0=)(.*)$")
  end
  return prefix or "", digits or value
end

describe("verify", function()
  setup(function()
    samples.load()
  end)

  for _, kind in ipairs(samples.kinds) do
    describe(kind.name, function()
      local function with(name, value)
        return { headers = samples.headers_of(kind, { [name] = value }) }
      end

      it("refuses a wrong secret", function()
        local wrong = {
          capawesome = "it's a Secret to Everybody",
          discord = ("ab"):rep(32),
          standard = "whsec_" .. samples.base64(("x"):rep(32)),
          svix = "whsec_" .. samples.base64(("x"):rep(32)),
        }
        refused(WRONG, kind, { secrets = wrong[kind.scheme] or kind.secret .. "x" }, "a wrong secret")
        refused(WRONG, kind, { secrets = { wrong[kind.scheme] or "wrong", wrong[kind.scheme] or "bad" } }, "two wrong secrets")
      end)

      if kind.covers_body then
        it("refuses a body with any bit changed, shortened or longer", function()
          for at = 1, #kind.body do
            for bit = 0, 7 do
              refused(WRONG, kind, { body = flip(kind.body, at, bit) }, ("byte %d, bit %d"):format(at, bit))
            end
          end
          refused(WRONG, kind, { body = "" }, "no body")
          refused(WRONG, kind, { body = kind.body:sub(1, -2) }, "a shorter body")
          refused(WRONG, kind, { body = kind.body .. "\n" }, "a line feed more")
          refused(WRONG, kind, { body = kind.body .. "\0" }, "a NUL more")
          refused(WRONG, kind, { body = "\0" .. kind.body }, "a NUL first")
        end)
      end

      it("refuses a signature with any bit changed", function()
        local signature = samples.headers_of(kind)[kind.signature_header]
        for at = 1, #signature do
          for bit = 0, 7 do
            local changed = flip(signature, at, bit)
            refused(ANY, kind, with(kind.signature_header, changed), show(changed))
          end
        end
      end)

      for _, name in ipairs(kind.needed) do
        it("refuses " .. name .. " when it is missing or empty", function()
          local missing = { missing_header = true }
          refused(missing, kind, with(name, false), "no header")
          refused(missing, kind, with(name, ""), "an empty header")
          refused(missing, kind, with(name, {}), "an empty list")
          refused(missing, kind, with(name, { "" }), "a list of an empty string")
          refused(missing, kind, with(name, 7), "a number")
          refused(missing, kind, with(name, true), "true")
          refused(missing, kind, with(name, { 7 }), "a list of a number")
          refused(missing, kind, with(name, { { "x" } }), "a list of a list")
          local renamed = samples.headers_of(kind, { [name] = false })
          renamed[name .. "-2"] = samples.headers_of(kind)[name]
          refused(missing, kind, { headers = renamed }, "a longer name")
          refused(missing, kind, { headers = {} }, "no headers at all")
        end)

        it("refuses " .. name .. " when it is there twice, in a list or by two names", function()
          local twice = { duplicate_header = true }
          local value = samples.headers_of(kind)[name]
          refused(twice, kind, with(name, { value, value }), "the same twice")
          refused(twice, kind, with(name, { value, "x" }), "another one second")
          refused(twice, kind, with(name, { "x", value }), "another one first")
          refused(twice, kind, with(name, { value, value, value }), "three times")
          for _, other in ipairs({ value, "", "x", { value } }) do
            local headers = samples.headers_of(kind, { [name] = false })
            headers[name:lower()] = value
            headers[name:upper()] = other
            refused(twice, kind, { headers = headers }, "two names")
          end
        end)
      end

      if kind.scheme ~= "gitlab" then
        it("refuses a signature of another length, case or encoding", function()
          local signature = samples.headers_of(kind)[kind.signature_header]
          local prefix, digits = split_signature(signature)
          assert.is_true(#digits > 20)
          local function bad(value, codes)
            refused(codes or SHAPE_OR_WRONG, kind, with(kind.signature_header, value), show(value))
          end
          for length = 1, #digits - 1 do
            bad(prefix .. digits:sub(1, length))
          end
          bad(prefix .. digits .. digits)
          for _, more in ipairs({ "0", "A", "=", "==", "00", "\0", "\n", "\r\n", "\t", ";", "\255", "%20", "-", "." }) do
            bad(prefix .. digits .. more)
          end
          bad(prefix .. digits:upper())
          if digits:lower() ~= digits then
            bad(prefix .. digits:lower())
          end
          for _, odd in ipairs({ "g", "!", "-", "_", "\0", "\127", "\128", "\255", "\n", ".", "%" }) do
            bad(prefix .. odd .. digits:sub(2))
            bad(prefix .. digits:sub(1, 19) .. odd .. digits:sub(21))
            bad(prefix .. digits:sub(1, -2) .. odd)
          end
          bad(prefix .. ("0"):rep(#digits))
          bad(prefix .. ("\0"):rep(#digits))
          bad(prefix .. ("0"):rep(100000))
          bad(prefix .. digits:sub(1, -2))
          bad(prefix .. digits:gsub("=", ""):sub(1, -2) .. " ")
          if digits:sub(-1) == "=" then
            bad(prefix .. digits:gsub("=", ""))
            bad(prefix .. digits:sub(1, -2) .. "A")
            bad(prefix .. "=" .. digits:sub(1, -2))
          end
        end)

        it("refuses a signature without its prefix, with another, or with something before it", function()
          local signature = samples.headers_of(kind)[kind.signature_header]
          local prefix, digits = split_signature(signature)
          for _, before in ipairs({ " ", "\t", "\n", "\0", "x", "sha1=", "sha256=sha256=", "v1=v1=", '"', "," }) do
            if not ((kind.scheme == "standard" or kind.scheme == "svix") and before == " ") then
              refused(ANY, kind, with(kind.signature_header, before .. digits), show(before .. digits))
            end
            -- Lists skip what they do not know; a separator first is an empty entry.
            if not ((kind.scheme == "stripe" or kind.id) and (before == " " or before == ",")) then
              refused(ANY, kind, with(kind.signature_header, before .. signature), show(before .. signature))
            end
          end
          if prefix ~= "" then
            refused(ANY, kind, with(kind.signature_header, digits), "no prefix")
            refused(ANY, kind, with(kind.signature_header, prefix:upper() .. digits), "an upper-case prefix")
            refused(ANY, kind, with(kind.signature_header, prefix), "the prefix alone")
            refused(ANY, kind, with(kind.signature_header, prefix:sub(1, -2)), "half a prefix")
            refused(ANY, kind, with(kind.signature_header, prefix .. " " .. digits), "a space after the prefix")
          end
        end)
      end

      it("refuses random changes of its headers", function()
        math.randomseed(20)
        local pieces = { "", "x", "0", "=", ",", " ", ".", "\0", "\255", "v1=", "v1,", "t=", "t=1", "sha256=" }
        for _ = 1, 1500 do
          local name = kind.needed[math.random(#kind.needed)]
          local value = samples.headers_of(kind)[name]
          local from = math.random(2, #value)
          local to = math.min(#value, from + math.random(0, 3) - 1)
          local changed = value:sub(1, from - 1) .. pieces[math.random(#pieces)] .. value:sub(to + 1)
          -- What stands in the middle of a list may split it into parts that are skipped.
          if changed ~= value then
            refused(ANY, kind, with(name, changed), name .. ": " .. show(changed))
          end
        end
      end)

      it("refuses empty secrets, and lists of them", function()
        local missing = { missing_secret = true }
        refused(missing, kind, { secrets = "" }, "an empty secret")
        refused(missing, kind, { secrets = {} }, "an empty list")
        refused(missing, kind, { secrets = { "" } }, "a list of an empty secret")
        refused(missing, kind, { secrets = { "", "" } }, "a list of two empty secrets")
        refused(missing, kind, { secrets = { "", kind.secret } }, "an empty secret first")
        refused(missing, kind, { secrets = { kind.secret, "" } }, "an empty secret last")
      end)

      it("needs arguments of the right types", function()
        local headers, options = samples.headers_of(kind), samples.options_of(kind)
        for _, secrets in ipairs({ 7, true, { 7 }, { kind.secret, false }, { secret = kind.secret } }) do
          raises("secret", function()
            webhook.verify(kind.scheme, secrets, headers, kind.body, options)
          end)
        end
        raises("verify: ", function()
          webhook.verify(kind.scheme, nil, headers, kind.body, options)
        end)
        raises("verify: ", function()
          webhook.verify(kind.scheme, kind.secret, "x", kind.body, options)
        end)
        raises("verify: ", function()
          webhook.verify(kind.scheme, kind.secret, headers, nil, options)
        end)
        raises("tolerence", function()
          webhook.verify(kind.scheme, kind.secret, headers, kind.body, { tolerence = 5 })
        end)
        for _, name in ipairs({ "tolerance", "now", "url", "params", "seen" }) do
          raises(name, function()
            local bad = samples.options_of(kind, { [name] = name == "tolerance" and "x" or true })
            webhook.verify(kind.scheme, kind.secret, headers, kind.body, bad)
          end)
        end
        raises("tolerance", function()
          webhook.verify(kind.scheme, kind.secret, headers, kind.body, { now = 1, tolerance = -1 })
        end)
      end)

      if kind.timestamped then
        it("refuses a timestamp more than the tolerance away, before and after", function()
          local stale = { stale = true }
          for _, away in ipairs({ -TOLERANCE - 1, TOLERANCE + 1, 86400, -86400 }) do
            refused(stale, kind, { options = { now = samples.NOW + away } }, away .. " s")
          end
          refused(stale, kind, { options = { now = 0 } }, "1970")
          refused(stale, kind, { options = { now = samples.NOW + 11, tolerance = 10 } }, "11 s of 10")
          refused(stale, kind, { options = { now = samples.NOW + 1, tolerance = 0 } }, "1 s of 0")
          refused(stale, kind, { options = { now = samples.NOW - 1, tolerance = 0 } }, "-1 s of 0")
        end)

        it("refuses a changed timestamp", function()
          local headers = samples.headers_of(kind)
          local name = kind.timestamp_header or kind.signature_header
          headers[name] = headers[name]:gsub(tostring(samples.NOW), tostring(samples.NOW + 1))
          refused(WRONG, kind, { headers = headers }, "a second later")
        end)

        it("refuses a timestamp that is no plain number, although it is signed", function()
          local timestamps = {
            "-1", "-1700000000", "+1700000000", "1e9", "1.7e9", "0x6553f100", "1700000000.0", "1700000000.5",
            " 1700000000", "1700000000 ", "\t1700000000", "1700000000\n", "1700000000\0", "\0", "1700000000x",
            "x", "NaN", "inf", "nil", "1_700_000_000", "1 700 000 000", "17000000001700000000",
            "18446744073709551616", "18446744075409551616", "9223372036854775808", "9223372036854775807",
            "4294967296000000000000", "99999999999999999999", ("9"):rep(400), ("0"):rep(100000) .. "1700000000",
            "\217\161\217\167\217\160\217\160\217\160\217\160\217\160\217\160\217\160\217\160", "-0", "--1", "'1'", "1.", ".",
          }
          local list = {}
          for index, timestamp in ipairs(timestamps) do
            list[index] = { kind, { timestamp = timestamp } }
          end
          local answers = samples.sign_all(list)
          for index, headers in ipairs(answers) do
            local what = "the timestamp " .. show(timestamps[index]:sub(1, 40))
            local codes = timestamps[index]:find("^%d+$") and { bad_format = true, stale = true } or SHAPE
            refused(codes, kind, { headers = headers }, what)
            refused(codes, kind, { headers = headers, options = { now = 0 } }, what .. " at 0")
            -- 2^63 - 1 is a time after all, if not a near one.
            if timestamps[index] ~= "9223372036854775807" then
              refused(SHAPE, kind, { headers = headers, options = { tolerance = false } }, what .. " without tolerance")
            end
          end
        end)
      end

      if kind.id then
        it("refuses ids and timestamps that hold a dot, although they are signed", function()
          local list = {
            { kind, { id = "msg.1" } },
            { kind, { id = "." } },
            { kind, { id = "msg_1." .. samples.NOW } },
            { kind, { id = ".msg" } },
            { kind, { timestamp = samples.NOW .. ".1" } },
            { kind, { timestamp = samples.NOW .. "." } },
          }
          for index, headers in ipairs(samples.sign_all(list)) do
            refused(SHAPE, kind, { headers = headers }, "case " .. index)
          end
        end)

        it("refuses a changed id", function()
          for at = 1, #kind.id do
            for bit = 0, 6 do
              local changed = flip(kind.id, at, bit)
              refused(SHAPE_OR_WRONG, kind, with(kind.id_header, changed), changed)
            end
          end
        end)
      end
    end)
  end

  it("names an unknown scheme, and what was meant", function()
    raises("unknown scheme 'githab' (did you mean 'github'?)", function()
      webhook.verify("githab", "x", {}, "")
    end)
    raises("unknown scheme", function()
      webhook.verify(nil, "x", {}, "")
    end)
  end)

  it("takes NUL bytes in secrets for what they are", function()
    local kind = samples.github
    local headers = samples.sign(kind, { secret = "a\0b" })
    assert.is_true(webhook.verify("github", "a\0b", headers, kind.body))
    for _, secret in ipairs({ "a", "a\0", "a\0c", "a\0b\0" }) do
      -- HMAC pads keys with zeros: a NUL at the end of a short key is the same key (RFC 2104).
      if secret ~= "a\0b\0" then
        refused(WRONG, kind, { headers = headers, secrets = secret }, show(secret))
      end
    end
  end)
end)

describe("verify of standard webhooks", function()
  for _, name in ipairs({ "standard v1", "standard v1a", "svix" }) do
    local kind = samples[name]

    it("refuses when no known version is there, or none matches: " .. name, function()
      local good = samples.headers_of(kind)[kind.signature_header]
      local digits = good:match(",(.*)$")
      for _, signature in ipairs({
        "v2," .. digits, "v0," .. digits, "v11," .. digits, "v," .. digits, "," .. digits, digits, "V1," .. digits,
        "v1", "v1,", "v1a,", "v1,,", "v1 ," .. digits, "v1, " .. digits, "v1=" .. digits, "v1;" .. digits, " ", "  ", ",", ", ,",
        "v1," .. digits .. "," .. digits, "v2,x v3,y", good .. "," .. good, "v1,x v1,y v1,z", "v1a" .. digits,
        (name == "standard v1a" and "v1," or "v1a,") .. digits, "v1b," .. digits, "v1aa," .. digits,
        "v1\t" .. digits, "v1,\t" .. digits, good .. "\tv2,x", good .. "\nv2,x",
      }) do
        refused(SHAPE_OR_WRONG, kind, { headers = samples.headers_of(kind, { [kind.signature_header] = signature }) }, show(signature))
      end
    end)

    it("refuses secrets that are no keys: " .. name, function()
      local key = samples.base64(("k"):rep(32))
      local bad = {
        "whsec_", "whsec", "whsec_!" .. key:sub(2), "whsec_" .. key .. "=", "whsec_" .. key .. "A",
        "whsec_" .. key:sub(1, -2), "whsec_" .. samples.base64(("k"):rep(23)), "whsec_" .. samples.base64(("k"):rep(65)),
        "whsec_" .. key .. "\0", "whsec_ " .. key, "whsec_" .. key .. "\n", "WHSEC_" .. key, "whsec-" .. key,
        "whpk_", "whpk_" .. samples.base64(("k"):rep(31)), "whpk_" .. samples.base64(("k"):rep(33)), "whpk_!!!!",
        "whpk_" .. samples.base64(("k"):rep(32)):sub(1, -2),
      }
      for _, secret in ipairs(bad) do
        refused({ bad_secret = true, missing_secret = true }, kind, { secrets = secret }, show(secret))
      end
      for _, secret in ipairs(bad) do
        refused({ bad_secret = true, missing_secret = true }, kind, { secrets = { kind.secret, secret } }, "second: " .. show(secret))
      end
    end)

    it("bounds the number of signatures: " .. name, function()
      local good = samples.headers_of(kind)[kind.signature_header]
      local prefix = good:match("^v1a?,")
      local wrong = prefix .. samples.base64(("\1"):rep(prefix == "v1," and 32 or 64))
      for _, many in ipairs({ 32, 1000, 20000 }) do
        refused(SHAPE, kind, {
          headers = samples.headers_of(kind, { [kind.signature_header] = (wrong .. " "):rep(many) .. good }),
        }, many .. " signatures")
      end
    end)
  end

  it("does not take a public key for a shared one", function()
    -- The public key is known to all: who signs with it as if it were an HMAC key must not get through.
    local kind = samples["standard v1"]
    local public_as_shared = samples.sign(kind, { secret = "whsec_" .. samples.PUBLIC:sub(6) })
    refused(SHAPE_OR_WRONG, kind, { headers = public_as_shared, secrets = samples.PUBLIC }, "v1 by the public key")
  end)

  it("does not take a private key for verifying in silence", function()
    local kind = samples["standard v1a"]
    local ok, reason, code = webhook.verify(
      "standard", samples.PRIVATE, samples.headers_of(kind), kind.body, samples.options_of(kind)
    )
    -- Either is fine: the public half stands in it. What is not fine is a crash, or the key in the reason.
    if not ok then
      assert.equal("bad_secret", code)
      assert.is_nil(reason:find(samples.PRIVATE:sub(6), 1, true))
    end
  end)

  it("refuses an ed25519 signature whose number is too large", function()
    -- RFC 8032, 5.1.7: S must be below the group's order; S + order would verify too in a careless implementation.
    local kind = samples["standard v1a"]
    local order = samples.from_hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
    local mime = require("mime")
    local signature = mime.unb64(samples.headers_of(kind)[kind.signature_header]:sub(5))
    local sum, carry = {}, 0
    for at = 1, 32 do
      carry = carry + signature:byte(32 + at) + order:byte(at)
      sum[at] = string.char(carry % 256)
      carry = math.floor(carry / 256)
    end
    local forged = "v1a," .. samples.base64(signature:sub(1, 32) .. table.concat(sum))
    refused(WRONG, kind, { headers = samples.headers_of(kind, { [kind.signature_header] = forged }) }, "S + order")
  end)
end)

describe("verify of stripe", function()
  local kind = samples.stripe
  local time = "t=" .. samples.NOW

  local function bad(codes, value)
    refused(codes, kind, { headers = { ["Stripe-Signature"] = value } }, show(value:sub(1, 100)))
  end

  it("refuses a list without a time, with two, or without a known signature", function()
    local good = samples.headers_of(kind)["Stripe-Signature"]:match("v1=%x+$")
    local digits = good:sub(4)
    bad(SHAPE_OR_WRONG, time .. ",v0=" .. digits)
    bad(SHAPE_OR_WRONG, time .. ",v2=" .. digits)
    bad(SHAPE_OR_WRONG, time .. ",v1 =" .. digits)
    bad(SHAPE_OR_WRONG, time .. ", " .. good)
    bad(SHAPE_OR_WRONG, time .. ",V1=" .. digits)
    bad(SHAPE_OR_WRONG, time .. ",v1=")
    bad(SHAPE_OR_WRONG, time .. ",v1")
    bad(SHAPE, time)
    bad(SHAPE, good)
    bad(SHAPE, "t=," .. good)
    bad(SHAPE, "t," .. good)
    bad(SHAPE, "T=" .. samples.NOW .. "," .. good)
    bad(SHAPE, " " .. time .. "," .. good)
    bad(SHAPE, time .. "," .. time .. "," .. good)
    bad(SHAPE, time .. ",t=1," .. good)
    bad(SHAPE, "t=1," .. time .. "," .. good)
    bad(SHAPE, ",")
    bad(SHAPE, "=")
    bad(SHAPE, ",,,,")
    bad(SHAPE, "===")
    bad(SHAPE, time .. ";" .. good)
    bad(SHAPE_OR_WRONG, time .. ",v1=" .. digits .. digits)
    bad(SHAPE_OR_WRONG, time .. ",v1=" .. digits .. "=")
    bad(SHAPE_OR_WRONG, time .. ",v1=" .. digits:upper())
  end)

  it("bounds the number of signatures", function()
    local good = samples.headers_of(kind)["Stripe-Signature"]:match("v1=%x+$")
    for _, many in ipairs({ 32, 1000, 20000 }) do
      bad(SHAPE, time .. (",v1=" .. ("0"):rep(64)):rep(many) .. "," .. good)
    end
  end)

  it("signs with the whole secret, whsec_ included", function()
    local headers = samples.sign(kind, { secret = kind.secret:sub(7) })
    refused(WRONG, kind, { headers = headers }, "the secret without whsec_")
  end)
end)

describe("verify of slack", function()
  it("refuses another version", function()
    local kind = samples.slack
    local digits = samples.headers_of(kind)["X-Slack-Signature"]:sub(4)
    for _, value in ipairs({ "v1=" .. digits, digits, "v0:" .. digits, "v0=" .. digits .. ",v1=x", "v0=v0=" .. digits }) do
      refused(SHAPE, kind, { headers = samples.headers_of(kind, { ["X-Slack-Signature"] = value }) }, value)
    end
  end)
end)

describe("verify of discord", function()
  local kind = samples.discord

  it("refuses public keys of another length or form", function()
    for _, secret in ipairs({
      kind.secret:sub(1, 62), kind.secret .. "00", kind.secret:sub(1, 63), kind.secret .. "0", "0", "zz",
      "g" .. kind.secret:sub(2), " " .. kind.secret, kind.secret .. "\n", kind.secret:sub(1, 63) .. "\0",
      "0x" .. kind.secret:sub(3), samples.from_hex(kind.secret), samples.PUBLIC, ("0"):rep(100000),
    }) do
      refused({ bad_secret = true }, kind, { secrets = secret }, show(secret:sub(1, 80)))
      refused({ bad_secret = true }, kind, { secrets = { kind.secret, secret } }, "second: " .. show(secret:sub(1, 80)))
    end
  end)

  it("does not let digits move between the timestamp and the body", function()
    local headers = samples.sign(kind, { body = "0" .. kind.body })
    headers["X-Signature-Timestamp"] = headers["X-Signature-Timestamp"] .. "0"
    refused({ stale = true }, kind, { headers = headers }, "a timestamp ten times as large")
  end)
end)

describe("verify of twilio", function()
  local form, json = samples["twilio with a form"], samples["twilio with JSON"]

  it("refuses changed parameters", function()
    local function with(changes)
      local params = {}
      for name, value in pairs(form.params) do
        params[name] = value
      end
      for name, value in pairs(changes) do
        params[name] = value or nil
      end
      return { options = { params = params } }
    end
    refused(WRONG, form, with({ Digits = "1235" }), "another value")
    refused(WRONG, form, with({ Digits = false }), "one less")
    refused(WRONG, form, with({ More = "1" }), "one more")
    refused(WRONG, form, with({ Digits = { "1234", "1" } }), "a second value")
    refused(WRONG, form, with({ Digits = "1234\0" }), "a NUL more")
    refused(WRONG, form, { options = { params = {} } }, "none")
  end)

  it("refuses a changed URL", function()
    for at = 1, #form.url do
      for bit = 0, 6 do
        local ok, _, code = webhook.verify("twilio", form.secret, samples.headers_of(form), "", {
          url = flip(form.url, at, bit),
          params = form.params,
        })
        assert.is_nil(ok)
        assert.is_string(code)
      end
    end
  end)

  it("needs the URL", function()
    local ok, _, code = webhook.verify("twilio", form.secret, samples.headers_of(form), "", { url = "", params = form.params })
    assert.is_nil(ok)
    assert.is_string(code)
    assert.is_not_true((pcall(webhook.verify, "twilio", form.secret, samples.headers_of(form), ""))
      and webhook.verify("twilio", form.secret, samples.headers_of(form), ""))
  end)

  it("refuses JSON whose digest is not in the URL, is twice, or is of another form", function()
    local digest = json.url or (samples.load() and json.url)
    digest = digest:match("bodySHA256=(%x+)")
    local urls = {
      "https://example.com/json",
      "https://example.com/json?bodySHA256=",
      "https://example.com/json?bodySHA256=" .. digest:sub(1, 63),
      "https://example.com/json?bodySHA256=" .. digest .. "0",
      "https://example.com/json?bodySHA256=" .. ("0"):rep(64),
      "https://example.com/json?bodySHA256=" .. ("z"):rep(64),
      "https://example.com/json?bodysha256=" .. digest,
      "https://example.com/json?xbodySHA256=" .. digest,
      "https://example.com/json#bodySHA256=" .. digest,
      "https://example.com/json?bodySHA256=" .. ("0"):rep(64) .. "&bodySHA256=" .. digest,
      "https://example.com/bodySHA256=" .. digest,
    }
    local list = {}
    for index, url in ipairs(urls) do
      list[index] = { json, { url = url } }
    end
    for index, headers in ipairs(samples.sign_all(list)) do
      -- Without the digest it would be a form, and needs the parameters.
      local codes = { bad_format = true, mismatch = true, missing_params = true }
      refused(codes, json, { headers = headers, options = { url = urls[index] } }, urls[index])
    end
  end)
end)

describe("verify of gitlab", function()
  local kind = samples.gitlab

  it("refuses any other token", function()
    for _, token in ipairs({
      "x", kind.secret:sub(1, -2), kind.secret .. "x", kind.secret:upper(), kind.secret .. "\0", " " .. kind.secret,
      kind.secret .. " ", kind.secret .. "\n", ("x"):rep(#kind.secret), ("x"):rep(100000),
    }) do
      refused(SHAPE_OR_WRONG, kind, { headers = { ["X-Gitlab-Token"] = token } }, show(token:sub(1, 60)))
    end
  end)
end)
