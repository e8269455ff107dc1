// What people are told to do about what a CA says.
import t from 'tap'
import { explainChallenge, explainProblem } from '../../src/issuer/problem.js'

const answer = (type: string, status = 400, headers = {}) => ({
  status,
  headers,
  body: JSON.stringify({ type: `urn:ietf:params:acme:error:${type}`, detail: 'because' }),
})

t.test('refusals', async (t) => {
  const table: Readonly<Record<string, RegExp>> = {
    alreadyReplaced: /whether another machine renews it, too/,
    alreadyRevoked: /--force-renewal/,
    badRevocationReason: /another --reason/,
    unsupportedIdentifier: /IP addresses, and some only with a certain --profile/,
    somethingNew: /the CA’s own/,
  }
  for (const [type, hint] of Object.entries(table)) {
    const error = explainProblem(answer(type), 'asking', 'the CA')
    t.match(error, { code: 'CA_REFUSED', message: `asking: the CA answered ${type} (because)`, hint, passing: false })
    t.equal(error.vendor?.code, type)
  }
})

t.test('profiles', async (t) => {
  const hintWith = (profiles?: Readonly<Record<string, string>>) =>
    explainProblem(answer('invalidProfile'), 'ordering', 'acme.example', profiles).hint
  const known = { classic: 'as ever', shortlived: 'six days' }
  t.equal(hintWith(known), 'acme.example offers classic, shortlived: choose with --profile, or leave it out')
  t.equal(hintWith(), 'acme.example offers no profiles: leave --profile out')
})

t.test('limits', async (t) => {
  const limited = (headers: object) => explainProblem(answer('rateLimited', 429, headers), 'ordering', 'the CA')
  const table: Readonly<Record<string, string>> = {
    '0': '1 second',
    '1': '1 second',
    '90': '90 seconds',
    '91': '2 minutes',
    '5400': '90 minutes',
    '5401': '2 hours',
    '172800': '48 hours',
    '172801': '3 days',
  }
  for (const [seconds, words] of Object.entries(table)) {
    const error = limited({ 'retry-after': seconds })
    t.match(error.hint, `wants to be asked again in ${words}. Deployments are not limited`, seconds)
    t.match(error, { code: 'CA_UNAVAILABLE', passing: true, retryAfter: Number(seconds) * 1000 })
  }
  t.match(limited({}).hint, /the words in parentheses say until when\. Deployments/)
})

t.test('challenges', async (t) => {
  const table: readonly [name: string, type: string, problem: string, hint: RegExp][] = [
    ['a.example', 'http-01', 'dns', /no address for a\.example: check its A and AAAA/],
    ['a.example', 'http-01', 'connection', /on port 80: its DNS must lead to this machine \(IPv6/],
    [
      'a.example',
      'http-01',
      'unauthorized',
      /on port 80 .* nothing before it \(CDN, proxy, redirect\).* answers instead/,
    ],
    ['a.example', 'tls-alpn-01', 'connection', /on port 443: its DNS/],
    ['a.example', 'tls-alpn-01', 'tls', /on port 443 .* load balancer\).* ends TLS instead/],
    ['a.example', 'dns-01', 'unauthorized', /TXT record at _acme-challenge\.a\.example: every name server/],
    ['a.example', 'dns-01', 'dns', /look-up of _acme-challenge\.a\.example failed: .* DNSSEC/],
    ['a.example', 'dns-01', 'caa', /CAA record/],
    ['a.example', 'http-01', 'rateLimited', /the CA limits/],
    ['192.0.2.1', 'http-01', 'connection', /port 80: it must be an address of this machine, and no firewall/],
    ['2001:db8::1', 'tls-alpn-01', 'unauthorized', /port 443 .*: it must be an address of this machine/],
    ['192.0.2.1', 'http-01', 'dns', /asked 192\.0\.2\.1 on port 80/],
  ]
  for (const [name, type, problem, hint] of table) {
    const error = explainChallenge(name, type, { type: problem, detail: 'because', subproblems: [] })
    t.match(error, { code: 'CHALLENGE_FAILED', hint, vendor: { code: problem } }, `${type} ${problem}`)
    if (/^[\d:]/.test(name)) t.notMatch(error.hint, /DNS|AAAA/, 'an address has no DNS')
    if (type === 'dns-01') t.notMatch(error.hint, /command|port/, 'whoever sets the record')
  }
})
