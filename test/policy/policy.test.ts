// `acme-oss policy` as a user types it: where it takes the targets from, what it prints where, and what it refuses.
import t from 'tap'
import { type ConfigWorld, openConfigWorld } from '../config/config-world.js'
import { bucket, proveSilence, region } from '../deploy-world.js'
import type { RunResult } from '../run-command.js'

interface Policy {
  readonly Version: string
  readonly Statement: readonly { readonly Effect: string; readonly Action: string[]; readonly Resource: string[] }[]
}

/** The resources of an action. */
const on = (policy: Policy, action: string): string[] =>
  policy.Statement.flatMap(({ Action, Resource }) => (Action.includes(action) ? Resource : []))

const policyOf = ({ stdout }: RunResult): Policy => JSON.parse(stdout) as Policy

const ask = (
  world: ConfigWorld,
  words: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  here = true,
) =>
  world.run(['policy', ...words], {
    here,
    terse: true,
    environment: {
      ...environment,
      ALIBABA_CLOUD_ACCESS_KEY_ID: undefined,
      ALIBABA_CLOUD_ACCESS_KEY_SECRET: undefined,
    },
  })

const toBucket = ['--bucket', bucket, '--region', region]

t.test('by flags', async (t) => {
  const world = await openConfigWorld(t)
  const asked = [...toBucket, '--prefix', 'certs/example.com', '--cdn-domain', '*.example.com']
  const run = await ask(world, asked, {}, false)
  t.equal(run.code, 0, run.stderr)
  const policy = policyOf(run)
  t.equal(run.stdout, `${JSON.stringify(policy, null, 2)}\n`, 'nothing else, and as one pastes it')
  t.equal(policy.Version, '1')
  t.ok(policy.Statement.every(({ Effect }) => Effect === 'Allow'))
  t.same(on(policy, 'oss:PutObject'), [`acs:oss:*:*:${bucket}/certs/example.com/*`])
  t.same(on(policy, 'cdn:SetCdnDomainSSLCertificate'), ['acs:cdn:*:*:domain/.example.com'], 'as CDN spells it')
  const explained = run.stderr.match(/^statement \d+, (needed|recommended): .+ \(for .+\)$/gm)
  t.equal(explained?.length, policy.Statement.length, run.stderr)
  t.match(run.stderr, /^statement 1, needed: gives the domain its certificate \(for cdn \.example\.com\)\n/)
  t.notMatch(run.stderr, /warning/)

  const minimal = await ask(world, [...toBucket, '--minimal'])
  t.same(policyOf(minimal).Statement, [
    { Effect: 'Allow', Action: ['oss:PutObject'], Resource: [`acs:oss:*:*:${bucket}/*`] },
  ])
  t.match(minimal.stderr, /only recommended has been left out/)
  const readers = await ask(world, [...asked, '--pull'])
  t.same(policyOf(readers).Statement, [
    { Effect: 'Allow', Action: ['oss:GetObject'], Resource: [`acs:oss:*:*:${bucket}/certs/example.com/*`] },
  ])
  t.match(readers.stderr, /^statement 1, needed: reads the layout, the private key too \(for oss my-ssl-certs/)
  const nowhere = await ask(world, ['--cdn-domain', '*.example.com', '--pull'])
  t.equal(nowhere.code, 2)
  t.match(nowhere.stderr, /no layout in a bucket is named/)
  const quiet = await ask(world, [...toBucket, '--quiet'])
  t.equal(quiet.stderr, '')
  t.equal((await ask(world, toBucket, { ACME_OSS_MINIMAL: '1' })).stdout, minimal.stdout)
  t.equal(
    (await ask(world, [], { ACME_OSS_BUCKET: bucket, ACME_OSS_REGION: region })).stdout,
    quiet.stdout,
    'variables work like flags',
  )
  t.same(world.emulator.requests, [])
})

t.test('--json', async (t) => {
  const world = await openConfigWorld(t)
  const run = await ask(world, [...toBucket, '--oss-cname', 'static.example.com', '--json'], {}, false)
  t.equal(run.code, 0, run.stderr)
  t.match(run.stdout, /^\{[^\n]*\}\n$/)
  const result = JSON.parse(run.stdout) as {
    readonly policy: Policy
    readonly statements: readonly object[]
    readonly warnings: readonly string[]
  }
  t.same(Object.keys(result), ['schema', 'command', 'ok', 'policy', 'statements', 'warnings', 'error'])
  t.match(result, { schema: 'acme-oss/1', command: 'policy', ok: true, error: null })
  t.equal(result.statements.length, result.policy.Statement.length)
  for (const one of result.statements) t.same(Object.keys(one), ['for', 'needed', 'why'])
  t.match(result.statements[0], { for: [`oss-cname ${bucket}/static.example.com`], needed: true, why: String })
  t.match(result.warnings, [/yundun-cert:DescribeSSLCertificatePrivateKey can read the private key of every certif/])
  t.match(run.stderr, /^warning: whoever has yundun-cert:\S+ can read/, 'a person is told as well')
  t.notMatch(run.stderr, /statement/)

  const refused = await ask(world, ['--json', '--bucket', 'B', '--region', region])
  t.equal(refused.code, 2)
  t.match(JSON.parse(refused.stdout), { command: 'policy', ok: false, error: { code: 'USAGE', message: /"B"/ } })
})

t.test('what grants the keys of the whole account is said', async (t) => {
  const world = await openConfigWorld(t)
  const warned = async (...words: readonly string[]): Promise<string> =>
    (await ask(world, [...toBucket, '--quiet', ...words])).stderr
  t.equal(await warned(), '')
  t.equal(await warned('--cdn-domain', 'auto', '--dcdn-domain', 'a.example'), '')
  t.match(
    await warned('--cdn-domain', 'auto', '--via-cas'),
    /^warning: whoever has yundun-cert:GetUserCertificateDetail /,
  )
  t.match(
    await warned('--oss-cname', 'auto', '--cas-prune', '--minimal'),
    /DescribeSSL\w+ or yundun-cert:GetUser\w+ can/,
  )
})

const config = `defaults:
  oss: { bucket: ${bucket}, region: ${region} }
certificates:
  example.com:
    domains: [example.com]
    deploy:
      - oss: { prefix: certs/example.com/ }
      - cdn: { domain: auto }
  www.example.com:
    domains: [www.example.com]
    issue: { solver: webroot, webroot: /var/www }
    deploy:
      - oss: { prefix: certs/www.example.com/, bucket: other-certs, sse: KMS }
      - cdn: { domain: www.example.com }
      - directory: { path: out }
  nowhere.example:
    domains: [nowhere.example]
`

t.test('by the configuration', async (t) => {
  const world = await openConfigWorld(t)
  const file = ['--config', world.write('acme-oss.yaml', config)]
  const all = await ask(world, file)
  t.equal(all.code, 0, all.stderr)
  const policy = policyOf(all)
  const first = `acs:oss:*:*:${bucket}/certs/example.com/*`
  const second = 'acs:oss:*:*:other-certs/certs/www.example.com/*'
  t.same(on(policy, 'oss:PutObject'), [first, second])
  t.same(on(policy, 'cdn:SetCdnDomainSSLCertificate'), ['acs:cdn:*:*:domain/*'], 'all of them, so none by its name')
  t.same(on(policy, 'kms:Decrypt'), ['acs:kms:*:*:key/*'])
  t.match(
    policy.Statement.find(({ Action }) => Action.includes('oss:PutObjectAcl')),
    { Resource: [first, second] },
    'needed where a domain, named or found, may serve the bucket',
  )
  t.match(
    all.stderr,
    /needed: keeps the private key from strangers .* \(for oss my-ssl-certs\/certs\/example\.com\/, oss other-certs\/certs\/www\.example\.com\/\)/,
  )

  const one = policyOf(await ask(world, ['www.example.com', ...file]))
  t.same(on(one, 'oss:PutObject'), [second])
  t.same(on(one, 'cdn:DescribeUserDomains'), [])
  t.same(on(one, 'cdn:DescribeCdnDomainDetail'), ['acs:cdn:*:*:domain/www.example.com'])
  const both = await ask(world, ['www.example.com', 'example.com', 'example.com', ...file])
  t.equal(both.stdout, all.stdout, 'in any order, and however often')
  t.equal((await ask(world, [], { ACME_OSS_CONFIG: file[1] ?? '' })).stdout, all.stdout)
  t.equal((await ask(world, [])).stdout, all.stdout, 'a person may have one where he stands')

  const viaService = policyOf(await ask(world, ['example.com', '--via-cas', '--verify', ...file]))
  t.same(on(viaService, 'yundun-cert:UploadUserCertificate'), ['*'], 'how it is reached is for the flags to say')
  t.same(on(viaService, 'oss:ListCname'), [`acs:oss:*:*:${bucket}`])

  const flags = await ask(world, [...toBucket, ...file])
  t.same(on(policyOf(flags), 'oss:PutObject'), [`acs:oss:*:*:${bucket}/*`])
  t.match(flags.stderr, new RegExp(`targets were given: what ${file[1]} says of them is left aside\n`))
})

t.test('a solver that proves names in the cloud', async (t) => {
  const world = await openConfigWorld(t)
  const entry = (issue: string, deploy: string) =>
    `{ domains: [a.example.com], issue: ${issue}, deploy: [{ ${deploy} }] }`
  const folder = 'directory: { path: out }'
  const file = world.write(
    'proving.yaml',
    `certificates:
      a.example.com: ${entry('{ solver: bucket }', 'oss-cname: { bucket: my-website, region: cn-hangzhou, domain: auto }')}
      b.example.com: ${entry('{ challenge-bucket: other-website, challenge-region: cn-hangzhou }', folder)}
      c.example.com: ${entry('{ solver: standalone }', folder)}\n`,
  )
  const run = await ask(world, ['--config', file])
  t.equal(run.code, 0, run.stderr)
  const places = ['my-website', 'other-website'].map((name) => `acs:oss:*:*:${name}/.well-known/acme-challenge/*`)
  for (const action of ['oss:PutObject', 'oss:PutObjectAcl', 'oss:DeleteObject']) {
    t.same(on(policyOf(run), action), places, action)
  }
  t.match(run.stderr, /needed: puts the answers .* \(for proving a\.example\.com, proving b\.example\.com\)\n/)
  const missing = world.write(
    'missing.yaml',
    `certificates:\n  a.example.com: ${entry('{ solver: bucket }', folder)}\n`,
  )
  const refused = await ask(world, ['--config', missing])
  t.equal(refused.code, 2)
  t.match(refused.stderr, /missing\.yaml:\d+.*which bucket the names are bound to/)
})

t.test('what proves names by AliDNS, as the configuration has it', async (t) => {
  const world = await openConfigWorld(t)
  const text = `certificates:
  a.dev.example.com:
    domains: [a.dev.example.com, '*.example.com']
    issue: { challenge: dns-01, solver: alidns }
    deploy: [{ directory: { path: out } }]
  www.example.org:
    domains: [www.example.org]
    issue: { solver: webroot, webroot: /var/www }
    deploy: [{ directory: { path: out } }]
`
  const run = await ask(world, ['--config', world.write('dns.yaml', text)])
  t.equal(run.code, 0, run.stderr)
  t.same(policyOf(run).Statement, [
    {
      Effect: 'Allow',
      Action: ['alidns:AddDomainRecord', 'alidns:DeleteDomainRecord', 'alidns:DescribeDomainRecords'],
      Resource: ['a.dev.example.com', 'dev.example.com', 'example.com'].map((zone) => `acs:alidns:*:*:domain/${zone}`),
    },
  ])
  t.match(
    run.stderr,
    /statement 1, needed: proves names by TXT records in their zone \(for proving a\.dev\.example\.com\)/,
  )
})

t.test('what needs nothing of the cloud', async (t) => {
  const world = await openConfigWorld(t)
  const run = await ask(world, ['--directory', 'out'])
  t.equal(run.code, 0)
  t.same(policyOf(run), { Version: '1', Statement: [] })
  t.match(run.stderr, /no policy is needed/)
})

t.test('more than RAM takes in one policy', async (t) => {
  const world = await openConfigWorld(t)
  const entries = Array.from(
    { length: 60 },
    (_, i) => `  host-${i}.example.com: { deploy: [{ oss: { prefix: certs/host-${i}.example.com/ } }] }\n`,
  )
  const text = `defaults: { oss: { bucket: ${bucket}, region: ${region} } }\ncertificates:\n${entries.join('')}`
  const run = await ask(world, ['--config', world.write('many.yaml', text)])
  t.equal(run.code, 0)
  t.equal(policyOf(run).Statement.length, 4, 'one statement for each purpose')
  t.match(run.stderr, /warning: the policy has \d{4,5} characters without its blanks, and RAM takes 6144: /)
  t.match(run.stderr, /\(for oss \S+, oss \S+, oss \S+ and 57 more\)/)
  const few = await ask(world, ['host-1.example.com', 'host-2.example.com', '--config', world.path('many.yaml')])
  t.notMatch(few.stderr, /warning/)
})

t.test('what is refused, in the words of config check', async (t) => {
  const world = await openConfigWorld(t)
  const refused = async (words: readonly string[], message: RegExp, hint: RegExp): Promise<void> => {
    const run = await ask(world, words)
    t.equal(run.code, 2, words.join(' '))
    t.equal(run.stdout, '')
    t.match(run.stderr, message)
    t.match(run.stderr, hint)
  }
  const wrong = async (target: string): Promise<[readonly string[], RegExp]> => {
    const text = `certificates: { x: { deploy: [${target}] } }`
    const { json } = await world.check(text, 'wrong.yaml')
    const message = json.error?.message ?? 'nothing is wrong'
    return [['--config', world.path('wrong.yaml')], new RegExp(message.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))]
  }
  await refused([], /there is no configuration/, /--bucket my-ssl-certs .*config init/)
  await refused(['--region', region], /--region says something about a bucket, but no bucket is given/, /--bucket/)
  await refused([...toBucket, '--prefix', '/a'], /prefix "\/a" begins with a slash/, /--prefix certs/)
  await refused(['--cdn-domain', 'a b'], /"a b" is not a domain/, /auto/)
  await refused([...toBucket, '--nonsense'], /does not know --nonsense/, /--help/)
  for (const target of [
    '{ oss: { bucket: b, region: cn-hangzhou } }',
    '{ oss: { bucket: my-ssl-certs } }',
    '{ cdn: { domain: "1.2.3.4" } }',
    '{ oss-cname: { bucket: my-ssl-certs, region: cn-hangzhou, domain: "*.a.example" } }',
    '{ ossx: {} }',
  ]) {
    await refused(...(await wrong(target)), /what to do/)
  }
  const file = ['--config', world.write('good.yaml', config)]
  await refused(['www.example.con', ...file], /has no entry for www\.example\.con/, /did you mean www\.example\.com\?/)
  await refused(['nowhere.example', ...file], /nowhere\.example has no deploy list/, /--bucket/)
  const empty = ['--config', world.write('empty.yaml', 'certificates: { a.example: { domains: [a.example] } }')]
  await refused(empty, /has no certificate with a deploy list/, /--bucket/)
  t.same(world.emulator.requests, [])
})

await proveSilence(t)
