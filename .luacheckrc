std = "lua54"
max_line_length = 140
exclude_files = { "build*", "lua_modules" }

files["spec"] = { std = "lua54+busted" }
files["spec/support/receiver_handler.lua"] = { std = "ngx_lua" }
files["examples"] = { std = "lua54", read_globals = { "ngx" } }
