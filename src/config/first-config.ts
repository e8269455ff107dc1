/** What `acme-oss config init` writes: a whole file, all of it commented out. */
export const firstConfig = `# acme-oss.yaml: where certificates go, and how those that acme-oss issues itself are issued.
# After a change: acme-oss config check. For editors: acme-oss config schema prints a JSON Schema.
# Credentials do not belong in here: write them into /etc/acme-oss/env.

# Who we are to the CAs; only for certificates with an "issue" part.
#account:
#  email: ops@example.com
#  agree-tos: true
#  eab:
#    zerossl: { kid: KEY-ID, hmac-key-file: /etc/acme-oss/zerossl.key }

# What every target of a kind begins with.
#defaults:
#  oss: { bucket: my-ssl-certs, region: cn-hangzhou }

# By what a certificate is filed under: the lineage of certbot, the main domain of acme.sh, dehydrated and lego.
#certificates:
#
#  # Delivered by a hook (acme-oss hook certbot): no "issue" part.
#  example.com:
#    domains: [example.com, www.example.com]
#    deploy:
#      - oss: { prefix: certs/example.com/ }
#      - directory: { path: /etc/ssl/example.com }
#      - exec: { command: systemctl reload nginx }
#
#  # Issued and renewed by acme-oss itself: acme-oss renew, which the timer runs every ten minutes.
#  wild.example.com:
#    domains: ['*.wild.example.com']
#    issue: { ca: letsencrypt, solver: exec, exec-auth: /etc/acme-oss/set-txt.sh }
#    deploy:
#      - oss: { prefix: certs/wild.example.com/ }

# Who is told when something is wrong, and when it is mended: webhook, dingtalk, feishu, wecom, slack. To try it:
# acme-oss notify test
#alerts:
#  to:
#    - webhook: { url-file: /etc/acme-oss/alert-url }
#  ping-file: /etc/acme-oss/ping-url
`
