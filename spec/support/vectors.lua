-- Published vectors of the signature schemes: { name, scheme, secret, headers, body, options, signing secret }, where options has
-- now, and id, timestamp, url, params where the scheme has them.
local SECRET = "It's a Secret to Everybody"
local HELLO = "Hello, World!"
local HELLO_HEX = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

local MESSAGE_ID, MESSAGE_TIME = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
local MESSAGE_BODY = '{"test": 2432232314}'
local V1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
local V1A = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
local WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
local WHSK = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
local WHPK = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="

local TWILIO_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
local TWILIO_PARAMS = {
  CallSid = "CA1234567890ABCDE",
  Caller = "+14158675309",
  Digits = "1234",
  From = "+14158675309",
  To = "+18005551212",
}

local vectors = {
  { "capawesome", "capawesome", SECRET, { ["X-Signature"] = HELLO_HEX }, HELLO },
  { "github", "github", SECRET, { ["X-Hub-Signature-256"] = "sha256=" .. HELLO_HEX }, HELLO },
  {
    "standard v1",
    "standard",
    WHSEC,
    { ["webhook-id"] = MESSAGE_ID, ["webhook-timestamp"] = tostring(MESSAGE_TIME), ["webhook-signature"] = V1 },
    MESSAGE_BODY,
    { now = MESSAGE_TIME, id = MESSAGE_ID, timestamp = MESSAGE_TIME },
  },
  {
    "standard v1a",
    "standard",
    WHPK,
    { ["webhook-id"] = MESSAGE_ID, ["webhook-timestamp"] = tostring(MESSAGE_TIME), ["webhook-signature"] = V1A },
    MESSAGE_BODY,
    { now = MESSAGE_TIME, id = MESSAGE_ID, timestamp = MESSAGE_TIME },
    WHSK,
  },
  {
    "svix",
    "svix",
    WHSEC,
    { ["svix-id"] = MESSAGE_ID, ["svix-timestamp"] = tostring(MESSAGE_TIME), ["svix-signature"] = V1 },
    MESSAGE_BODY,
    { now = MESSAGE_TIME, id = MESSAGE_ID, timestamp = MESSAGE_TIME },
  },
  {
    "stripe",
    "stripe",
    "whsec_test_secret",
    { ["Stripe-Signature"] = "t=1614265330,v1=3c5817089d739023dd6190f70a3757e04f7a2fd8b5dab12c2e000f51970dccff" },
    '{"id":"evt_test_webhook","object":"event"}',
    { now = MESSAGE_TIME, timestamp = MESSAGE_TIME },
  },
  {
    "shopify",
    "shopify",
    "hush",
    { ["X-Shopify-Hmac-SHA256"] = "VnKUjZsLuN5iZWjn5EntcBVCF9kMN43LglzCE1/GSeY=" },
    '{"id":1}',
  },
  {
    "twilio",
    "twilio",
    "12345",
    { ["X-Twilio-Signature"] = "RSOYDt4T1cUTdK1PDd93/VVr8B8=" },
    "",
    { url = TWILIO_URL, params = TWILIO_PARAMS },
  },
  {
    -- https://api.slack.com/authentication/verifying-requests-from-slack
    "slack",
    "slack",
    "8f742231b10e8888abcd99yyyzzz85a5",
    {
      ["X-Slack-Request-Timestamp"] = "1531420618",
      ["X-Slack-Signature"] = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    },
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
      .. "&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
      .. "%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121"
      .. ".803a0bc887a14d10d2c447fce8b6703c",
    { now = 1531420618, timestamp = 1531420618 },
  },
}

return vectors
