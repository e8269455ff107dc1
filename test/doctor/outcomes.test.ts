// What each finding of `doctor` comes to, without a cloud: tables of pure functions, and the runner that they stand in.
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import tls from 'node:tls'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { CertError } from '../../src/errors.js'
import { type Check, type Outcome, ok, runChecks } from '../../src/monitor/check.js'
import { exposureOutcome, opennessOutcome, versioned } from '../../src/monitor/checks/bucket.js'
import { clockOutcome } from '../../src/monitor/checks/clock.js'
import { configurationOutcome, ownershipOutcome } from '../../src/monitor/checks/configuration.js'
import { callerOutcome, fileOutcome, timerOutcome as keysOfTimer } from '../../src/monitor/checks/credentials.js'
import { dnsOutcome } from '../../src/monitor/checks/dns.js'
import { boundOutcome } from '../../src/monitor/checks/domains.js'
import { permissionOutcome } from '../../src/monitor/checks/permissions.js'
import { oldestNode, programOutcome } from '../../src/monitor/checks/program.js'
import { missingRoots, rootsOutcome } from '../../src/monitor/checks/roots.js'
import { servedOutcome } from '../../src/monitor/checks/served.js'
import { folderOutcome, modesOutcome, openBelow, roomOutcome } from '../../src/monitor/checks/state.js'
import { lastRunOutcome, stateOutcome, timerOutcome } from '../../src/monitor/checks/timer.js'
import { parseEnvironmentFile } from '../../src/monitor/environment-file.js'
import { readUnit } from '../../src/monitor/timer.js'
import type { LeadsTo } from '../../src/proof/dns-path.js'
import type { HostProof } from '../../src/proof/look.js'
import { Secret } from '../../src/secret.js'
import { root } from '../deploy-world.js'

const never = new AbortController().signal

/** Every outcome with what it ought to begin with; those that are wrong say what to do. */
const table = (what: string, rows: readonly (readonly [Outcome, Outcome['status'], RegExp])[]): void => {
  t.test(what, async (t) => {
    for (const [outcome, status, sentence] of rows) {
      t.match(outcome, { status, sentence })
      if (status === 'failed' || status === 'warning') t.match(outcome, { hint: /\w{2}/ }, outcome.sentence)
      t.notMatch(outcome.sentence, /\.$|\n/, 'a sentence of the house')
    }
  })
}

const program = (node: string) => programOutcome({ version: '0.1.0', node })
table('the program', [
  [program('v20.19.0'), 'ok', /on Node\.js v20\.19\.0$/],
  [program('v24.0.0'), 'ok', /v24/],
  [program('v20.18.9'), 'failed', /older than 20\.19\.0/],
  [program('v18.20.4'), 'failed', /older/],
])

t.test('the oldest Node.js is the one of package.json', async (t) => {
  const file = fileURLToPath(new URL('../../../package.json', import.meta.url))
  const { engines } = JSON.parse(readFileSync(file, 'utf8')) as { readonly engines: { readonly node: string } }
  t.equal(engines.node, `>=${oldestNode}`)
})

const fault = new CertError('CONFIG_INVALID', 'x.yaml:1: is wrong', { hint: 'mend it' })
table('the configuration', [
  [configurationOutcome({ path: '/x', fault: undefined, entries: 2 }, 2), 'ok', /^\/x is in order/],
  [configurationOutcome({ path: '/x', fault, entries: 0 }, 3), 'failed', /^x\.yaml:1/],
  [configurationOutcome({ path: '/x', fault: undefined, entries: 0 }, 0), 'warning', /no certificates/],
  [configurationOutcome({ path: undefined, fault: undefined, entries: 0 }, 1), 'ok', /is looked at/],
  [configurationOutcome({ path: undefined, fault: undefined, entries: 0 }, 0), 'unknown', /nothing is on record/],
  [ownershipOutcome('/x', { uid: 0, mode: 0o100644 }, { userId: 1000 }), 'ok', /owner alone/],
  [ownershipOutcome('/x', { uid: 1000, mode: 0o100600 }, { userId: 1000 }), 'ok', /owner alone/],
  [ownershipOutcome('/x', { uid: 1001, mode: 0o100600 }, { userId: 1000 }), 'failed', /another user \(1001\)/],
  [ownershipOutcome('/x', { uid: 1000, mode: 0o100664 }, { userId: 1000 }), 'failed', /written by others/],
])

const mebibytes = (count: number) => roomOutcome('/x', count * 2 ** 20)
table('the state folder', [
  [modesOutcome('/s', []), 'ok', /owner alone/],
  [modesOutcome('/s', ['/s/a']), 'failed', /^\/s\/a can be read/],
  [modesOutcome('/s', ['/s/a', '/s/b', '/s/c']), 'failed', /^\/s\/a and 2 more below \/s/],
  [mebibytes(9), 'failed', /^9 MiB/],
  [mebibytes(10), 'warning', /^10 MiB/],
  [mebibytes(100), 'ok', /^100 MiB/],
])

t.test('folders as they are', async (t) => {
  const folder = t.testdir()
  const state = join(folder, 'state')
  const userId = process.getuid?.()
  t.match(await folderOutcome(join(state, 'deep/er'), { userId }), { status: 'ok', sentence: /is made when/ })
  t.notMatch(await openBelow(state, never), [state], 'one that is not there is open to nobody')
  mkdirSync(join(state, 'deployments'), { recursive: true, mode: 0o700 })
  writeFileSync(join(state, 'deployments', 'a'), '', { mode: 0o600 })
  symlinkSync('/etc', join(state, 'link'))
  t.match(await folderOutcome(state, { userId }), { status: 'ok', sentence: /can be written/ })
  t.match(await folderOutcome(state, { userId: 4711 }), { status: 'warning', sentence: /another user/ })
  t.same(await openBelow(state, never), [], 'a link is not followed')
  writeFileSync(join(state, 'deployments', 'b'), '', { mode: 0o604 })
  t.same(await openBelow(state, never), [join(state, 'deployments', 'b')])
  t.match(
    await folderOutcome(join(state, 'deployments/b/below'), { userId }),
    { status: 'failed', hint: /--state-dir/ },
    'a file',
  )
})

const hour = 3_600_000
const now = new Date('2026-06-01T12:00:00Z')
const last = (hours: number, status = 0) => ({ at: new Date(now.getTime() - hours * hour), command: 'renew', status })
const systemd = { kind: 'systemd', isEnabled: true, isActive: true } as const
const cron = { kind: 'cron', where: '/etc/cron.d/acme-oss' } as const
const own = { kind: 'cron', where: "this user's crontab" } as const
const none = { kind: 'none' } as const
table('the timer', [
  [timerOutcome(systemd), 'ok', /is enabled/],
  [timerOutcome({ ...systemd, isEnabled: false }), 'failed', /not enabled/],
  [timerOutcome({ ...systemd, isActive: false }), 'failed', /was not started/],
  [timerOutcome(cron), 'ok', /by \/etc\/cron\.d\/acme-oss$/],
  [timerOutcome(none), 'warning', /neither/],
  [lastRunOutcome(last(0.9), systemd, now), 'ok', /54 min ago, and all was well/],
  [lastRunOutcome(last(0.5, 3), systemd, now), 'warning', /something is left to do \(exit status 3\)/],
  [lastRunOutcome(last(1.1), systemd, now), 'failed', /66 min ago/],
  [lastRunOutcome(last(72), cron, now), 'failed', /3 days ago/],
  [lastRunOutcome(last(72), none, now), 'warning', /3 days ago/],
  [lastRunOutcome(undefined, cron, now), 'warning', /no run/],
  [lastRunOutcome(undefined, none, now), 'unknown', /no run/],
  [stateOutcome(systemd, undefined, '/var/lib/acme-oss'), 'ok', /looks at \/var\/lib\/acme-oss$/],
  [stateOutcome(cron, undefined, '/home/me/state'), 'warning', /not at \/home\/me\/state/],
  [stateOutcome(systemd, '/srv/state/', '/srv/state'), 'ok', /looks at/],
  [stateOutcome(own, undefined, '/home/me/state'), 'unknown', /no timer of root/],
])

t.test('a unit as systemctl shows it', async (t) => {
  t.same(readUnit('LoadState=loaded\nUnitFileState=enabled\nActiveState=active'), systemd)
  t.same(readUnit('LoadState=loaded\nUnitFileState=disabled\nActiveState=inactive'), {
    kind: 'systemd',
    isEnabled: false,
    isActive: false,
  })
  t.equal(readUnit('LoadState=not-found\nUnitFileState=\nActiveState=inactive'), undefined)
  t.equal(readUnit(''), undefined)
})

const file = (variables: Readonly<Record<string, string>>, mode = 0o600) =>
  ({ status: 'read', mode, variables }) as const
const absent = { status: 'absent', mode: 0, variables: {} } as const
const key = (id: string, foundBy: string) => ({
  accessKeyId: new Secret(id),
  accessKeySecret: new Secret('not-a-secret'),
  securityToken: undefined,
  foundBy,
})
const mine = key('LTAI-doctor-mine', 'the environment')
const role = key('LTAI-doctor-role', 'the RAM role of the machine')
const both = { ALIBABA_CLOUD_ACCESS_KEY_ID: 'LTAI-doctor-mine', ALIBABA_CLOUD_ACCESS_KEY_SECRET: 's' }
const other = { ...both, ALIBABA_CLOUD_ACCESS_KEY_ID: 'LTAI-doctor-other' }
table('the credentials', [
  [
    callerOutcome({ accountId: '1', arn: 'acs:ram::1:user/me', isAccount: false }),
    'ok',
    /the RAM user me in account 1/,
  ],
  [
    callerOutcome({ accountId: '1', arn: 'acs:ram::1:assumed-role/r/s', isAccount: false }),
    'ok',
    /the RAM role r\/s in account 1/,
  ],
  [callerOutcome({ accountId: '1', arn: 'acs:ram::1:root', isAccount: true }), 'warning', /may do everything/],
  [callerOutcome({ accountId: undefined, arn: undefined, isAccount: false }), 'ok', /somebody in account unknown/],
  [fileOutcome('/e', file({})), 'ok', /owner alone/],
  [fileOutcome('/e', file({}, 0o640)), 'failed', /read by others/],
  [fileOutcome('/e', { ...absent, status: 'unreadable', mode: 0o604 }), 'failed', /read by others/],
  [fileOutcome('/e', absent), 'unknown', /not there/],
  [keysOfTimer('/e', file(both), mine, true), 'ok', /…mine of \/e$/],
  [
    keysOfTimer('/e', file(other), mine, true),
    'warning',
    /another access key \(…ther of \/e\) than this call \(…mine\)/,
  ],
  [keysOfTimer('/e', file(other), role, true), 'ok', /…ther/],
  [
    keysOfTimer('/e', file({ ...both, ALIBABA_CLOUD_ACCESS_KEY_SECRET: '' }), mine, true),
    'failed',
    /not ALIBABA_CLOUD_ACCESS_KEY_SECRET$/,
  ],
  [keysOfTimer('/e', file({}), mine, true), 'failed', /the timer has none/],
  [keysOfTimer('/e', absent, mine, false), 'warning', /the timer has none/],
  [keysOfTimer('/e', absent, role, true), 'ok', /the RAM role of the machine$/],
  [keysOfTimer('/e', absent, undefined, true), 'unknown', /none is found here/],
  [keysOfTimer('/e', { ...absent, status: 'unreadable' }, mine, true), 'unknown', /cannot be read by this user/],
])

t.test('a file of variables, as systemd reads it', async (t) => {
  const text = String.raw`# comment
; another
  A = one two  
B="in \"quotes\" \$x \n"
C='single \ quoted'  
D=back\ slash
E="over
two lines"
F=joined \
here
not a line
1G=no name
H=first
H=second
I=`
  t.same(parseEnvironmentFile(text), {
    A: 'one two',
    B: 'in "quotes" $x \\n',
    C: 'single \\ quoted',
    D: 'back slash',
    E: 'over\ntwo lines',
    F: 'joined here',
    H: 'second',
    I: '',
  })
  t.same(parseEnvironmentFile(''), {})
  t.same(parseEnvironmentFile('A="never closed'), { A: 'never closed\n' })
})

table('the clock', [
  [clockOutcome(400, 'h'), 'ok', /right to 1 s \(asked: h\)/],
  [clockOutcome(-60_000, 'h'), 'ok', /right to 60 s/],
  [clockOutcome(239_700, 'h'), 'warning', /is 4 min 0 s ahead/],
  [clockOutcome(60_001, 'h'), 'warning', /1 min 0 s ahead of that of h$/],
  [clockOutcome(-900_000, 'h'), 'warning', /15 min 0 s behind that of h$/],
  [clockOutcome(-900_001, 'h'), 'failed', /behind that of h: beyond 15 minutes every signature is refused/],
])

const openness = { open: [], silent: [], unknown: [] }
table('a bucket', [
  [versioned('b', undefined), 'ok', /never on/],
  [versioned('b', 'Enabled'), 'warning', /is enabled/],
  [versioned('b', 'Suspended'), 'warning', /is suspended/],
  [exposureOutcome('b', 'private', false), 'ok', /private/],
  [exposureOutcome('b', 'public', false), 'failed', /by anybody$/],
  [exposureOutcome('b', 'public', true), 'warning', /--allow-public-bucket/],
  [exposureOutcome('b', 'unknown', false), 'unknown', /may not be looked at/],
  [opennessOutcome('b/latest/', openness), 'ok', /strangers cannot/],
  [opennessOutcome('b/latest/', { ...openness, open: ['x', 'y'] }), 'failed', /through x, y$/],
  [opennessOutcome('b/latest/', { ...openness, unknown: ['that may not be'] }), 'unknown', /but that may not be$/],
])

const needed = { needed: true, why: 'writes the layout' }
const recommended = { ...needed, needed: false }
table('a right', [
  [permissionOutcome('a on r', needed, 'granted'), 'ok', /^a on r: granted$/],
  [permissionOutcome('a on r', needed, 'likely'), 'ok', /^a on r: likely granted/],
  [permissionOutcome('a on r', needed, 'refused'), 'failed', /refused, and needed: it writes the layout$/],
  [permissionOutcome('a on r', recommended, 'refused'), 'warning', /refused, and recommended/],
  [permissionOutcome('a on r', needed, { untold: 'only writing would tell' }), 'unknown', /not tried \(only/],
])

const bound = { domain: 'a.example.com', isEnabled: true, certificate: undefined }
const hosted = { id: '1', isEnabled: true, fingerprint: undefined, notBefore: now, notAfter: now }
table('a bound domain', [
  [boundOutcome('b', 'A.example.com', [bound]), 'ok', /without a certificate yet/],
  [boundOutcome('b', 'a.example.com', [{ ...bound, certificate: hosted }]), 'ok', /until 2026-06-01$/],
  [boundOutcome('b', 'a.example.com', [{ ...bound, isEnabled: false }]), 'failed', /disabled/],
  [boundOutcome('b', 'b.example.com', [bound]), 'warning', /not bound/],
])

const dns = (
  leadsTo: LeadsTo,
  hostedOn: readonly ('oss' | 'cdn')[],
  cnames = ['c.example.net'],
  product?: 'cdn' | 'dcdn',
) => dnsOutcome({ host: 'a.example.com', hostedOn: new Set(hostedOn) }, { leadsTo, cnames }, product)
table('where DNS leads', [
  [dns('oss', ['oss']), 'ok', /leads to OSS \(c\.example\.net\)/],
  [dns('cdn', ['oss', 'cdn']), 'ok', /leads to CDN/],
  [dns('cdn', ['oss']), 'failed', /leads to CDN, so what is hosted on OSS is not seen/],
  [dns('oss', ['cdn']), 'failed', /leads to OSS, so what is hosted on CDN is not seen/],
  [dns('stopped', ['cdn']), 'failed', /stopped/],
  [dns('protection', ['cdn']), 'warning', /WAF or Anti-DDoS/],
  [dns('unknown', ['oss']), 'unknown', /a place that is not known \(c\.example\.net\)/],
  [dns('unknown', ['oss'], []), 'unknown', /shows no CNAME/],
])

t.test('which product a domain is of', async (t) => {
  t.match(dns('cdn', ['oss'], [], 'dcdn'), { hint: 'add --dcdn-domain a.example.com' })
  t.match(dns('cdn', ['oss'], []), { hint: /or --dcdn-domain, if it is a DCDN domain/ })
})

const day = 24 * hour
const proof = (left: number, lifetime: number, more: Partial<HostProof> = {}): HostProof => ({
  host: 'h',
  port: 443,
  leadsTo: 'unknown',
  cnames: [],
  served: true,
  warnings: [],
  addresses: [
    {
      address: '192.0.2.1',
      port: 443,
      verdict: { served: true },
      isBeyondUs: false,
      ms: 1,
      certificate: {
        names: ['h'],
        notBefore: new Date(now.getTime() + (left - lifetime) * day),
        notAfter: new Date(now.getTime() + left * day),
        issuer: 'CN=x',
        sha1: '',
        sha256: '',
        above: 1,
        trusted: true,
        chainComplete: true,
      },
    },
  ],
  ...more,
})
const problem = {
  kind: 'chain-incomplete',
  sentence: 'the chain served is incomplete',
  browser: 'ERR_CERT_AUTHORITY_INVALID',
  cause: 'it was deployed so',
  hint: 'deploy the full chain',
} as const
table('what is served', [
  [servedOutcome(proof(60, 90), now), 'ok', /^h serves .* until 2026-07-31$/],
  [servedOutcome(proof(13, 90), now), 'warning', /ends on 2026-06-14/],
  [servedOutcome(proof(3, 6), now), 'ok', /until/],
  [servedOutcome(proof(1, 6), now), 'warning', /ends on/],
  [servedOutcome(proof(60, 90, { warnings: ['not all are sent'] }), now), 'warning', /^h: not all are sent/],
  [
    servedOutcome(proof(60, 90, { served: false, problem: { ...problem, sentence: 'h does not resolve' } }), now),
    'failed',
    /^h does not resolve/,
  ],
  [servedOutcome(proof(60, 90, { served: false, problem }), now), 'failed', /^h: .*incomplete \(browsers show ERR_/],
])

t.test('trusted roots', async (t) => {
  const all = [...tls.rootCertificates]
  const r3 = all.filter((pem) => missingRoots([pem]).length === 3 && !missingRoots([pem]).includes('R3'))
  t.equal(r3.length, 1, 'a root is told by its own name')
  t.same(missingRoots([]), ['R1', 'R3', 'R6', 'R46'])
  t.same(missingRoots(['no certificate', root.pem]), ['R1', 'R3', 'R6', 'R46'])
  t.match(rootsOutcome('Node.js', all, 'x'), { status: 'ok' })
  t.match(rootsOutcome('Node.js', r3, 'update'), {
    status: 'warning',
    sentence: /^Node\.js lacks GlobalSign Root R6, Root R46, which/,
    hint: 'update',
  })
  t.match(rootsOutcome('it', [], 'update').sentence, /lacks GlobalSign Root R1, Root R3, Root R6, Root R46/)
})

t.test('checks side by side', async (t) => {
  const check = (id: string, run: Check['run'], reaches?: true): Check => ({
    id,
    about: 'program',
    what: `the ${id}`,
    ...(reaches && { reaches }),
    run,
  })
  const all = [
    check('defect', async () => {
      throw new Error('of ours')
    }),
    check('refused', async () => {
      throw new CertError('CLOUD_REFUSED', 'no', { hint: 'ask' })
    }),
    check('keyless', async () => {
      throw new CertError('CREDENTIALS_MISSING', 'none', { hint: 'said elsewhere' })
    }),
    check('silent', () => new Promise(() => undefined), true),
    check('list', async () => [
      { of: 'a', ...ok('one') },
      { of: 'b', ...ok('two') },
    ]),
    check('last', async () => ok('there')),
  ]
  const found = await runChecks(all, { timeout: 50, offline: false, signal: never })
  t.same(
    found.map(({ id, status, sentence }) => `${id} ${status}: ${sentence}`),
    [
      'defect unknown: the defect: unexpected failure: of ours',
      'refused unknown: the refused: no',
      'keyless unknown: the keyless: none',
      'silent unknown: the silent: no answer within 0.05 s',
      'list a ok: one',
      'list b ok: two',
      'last ok: there',
    ],
  )
  t.same(
    found.slice(0, 3).map(({ hint }) => hint?.slice(0, 4)),
    ['this', 'ask', undefined],
  )
  const offline = await runChecks(all.slice(3, 4), { timeout: 60_000, offline: true, signal: never })
  t.match(offline, [{ status: 'unknown', sentence: 'the silent: not looked at (--offline)' }])
  const stopped = new AbortController()
  const running = runChecks(all, { timeout: 60_000, offline: false, signal: stopped.signal })
  stopped.abort()
  await t.rejects(running, { code: 'INTERRUPTED' })
})
