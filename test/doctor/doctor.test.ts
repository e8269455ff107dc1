// `acme-oss doctor` as it is called: where all is well it says so, and where one thing is spoilt it names that thing and
// what to do. Nothing of the cloud or the disk is another afterwards.
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { proveNoKeyLeaks } from '../binding/binding-world.js'
import { bucket, prefix, region, root } from '../deploy-world.js'
import { type Line, onCdn, onOss, openDoctor } from './doctor-world.js'

/** The CA of these tests is none that anybody trusts; a run of its own proves that one that is trusted is in order. */
const untrusted = [`served ${onOss} failed`, `served ${onCdn} failed`]

const untried = [
  `permission cdn:SetCdnDomainSSLCertificate domain/${onCdn}`,
  `permission oss:PutCname ${bucket}`,
  'permission yundun-cert:CreateSSLCertificate *',
  'permission yundun-cert:DescribeSSLCertificatePrivateKey *',
  'permission yundun-cert:DescribeSSLCertificatePublicKeyDetail *',
  `permission oss:CreateCnameToken ${bucket}`,
].map((id) => `${id} unknown`)

const usual = [...untried, ...untrusted]

t.test('where all is well', async (t) => {
  const world = await openDoctor(t)
  const { ask, emulator } = world
  world.file('env', `ALIBABA_CLOUD_ACCESS_KEY_ID=${world.key.id}\nALIBABA_CLOUD_ACCESS_KEY_SECRET=x\n`)
  chmodSync(world.path('env'), 0o600)

  await t.test('every line is in order but for what only writing would tell', async (t) => {
    const told = await ask()
    t.same([...told.amiss].sort(), [...usual].sort())
    t.equal(told.line('timer-credentials').status, 'ok')
    t.match(
      told.line('credentials').sentence,
      new RegExp(`^credentials come from the environment: .*…${world.key.id.slice(-4)}$`),
    )
    t.match(told.line('caller').sentence, /the RAM user acme-oss in account 1000000000000000$/)
    t.match(told.line(`permission oss:PutObject ${bucket}/${prefix}*`).sentence, /: likely granted/)
    t.match(told.line(`permission oss:ListCname ${bucket}`).sentence, /: granted$/)
    t.equal(new Set(told.checks.map(({ id }) => id)).size, told.checks.length, 'no id is there twice')
  })

  await t.test('nothing was changed', async (t) => {
    t.equal(world.objects.size, 0)
    t.notOk(existsSync(world.state), 'not even the state folder is made')
    const changing = emulator.requests.filter(
      ({ method, action = '', answer }) =>
        ((method === 'PUT' || method === 'DELETE') && answer?.status === 200) ||
        /:(Set|Upload|Delete|Add|Put[^O])/.test(action),
    )
    t.same(
      changing.map(({ action }) => action),
      [],
    )
  })

  await t.test('the process itself, with a CA that is trusted', async (t) => {
    const run = await world.run(['doctor', ...world.reachFor(world.targets)], {
      here: false,
      terse: true,
      environment: { ...world.environment, NODE_EXTRA_CA_CERTS: world.file('root.pem', root.pem) },
    })
    t.equal(run.code, 0, run.stdout + run.stderr)
    t.match(run.stdout, new RegExp(`^DNS\n  ✓ DNS of ${onOss} leads to OSS \\(`, 'm'))
    t.match(
      run.stdout,
      new RegExp(`^Served\n  ✓ ${onOss} serves a certificate that is trusted, with its chain, until 20`, 'm'),
    )
    t.match(run.stdout, /^ {2}! nothing calls acme-oss renew.*\n {6}what to do: \.\/install\.sh/m)
    t.match(run.stdout, /\n\d+ in order, 1 warning, 0 failed, \d+ not known\n$/)
  })

  await t.test('--quiet shows what is wrong alone', async (t) => {
    const run = await world.run(['doctor', ...world.reachFor(['--quiet', '--offline', ...world.targets])], {
      environment: world.environment,
      terse: true,
    })
    t.equal(run.code, 0)
    t.match(run.stdout, /^Timer\n {2}! nothing calls acme-oss renew: .*\n.*\n\d+ in order, 1 warning, 0 failed/)
  })

  await t.test('--offline asks nobody', async (t) => {
    const from = emulator.requests.length
    const told = await ask([...world.targets, '--offline'])
    t.equal(told.code, 0)
    t.same(emulator.requests.slice(from), [])
    t.match(told.line('clock'), { status: 'unknown', sentence: 'the clock of this machine: not looked at (--offline)' })
    t.equal(told.line('credentials').status, 'ok', 'those of the environment are there')
  })

  await t.test('the command line', async (t) => {
    const refused = await world.run(['doctor', 'example.com', ...world.targets], { terse: true })
    t.match(refused, { code: 2, stderr: /example\.com is named, and so are targets/ })
    t.match(await world.run(['doctor', '--timeout', '0'], { terse: true }), { code: 2 })
    const stranger = await world.run(['doctor', 'nobody.example'], { terse: true })
    t.match(stranger, { code: 2, stderr: /nothing is or was wanted under the name nobody\.example/ })
  })
})

// --- one right at a time ---

interface Missing {
  readonly action: string
  readonly resource?: string
  /** What else is not known any more. */
  readonly also?: readonly string[]
  readonly status: Line['status']
  readonly words?: readonly string[]
}

const viaService = ['--cdn-domain', onCdn, '--via-cas']
const objects = `${bucket}/${prefix}*`
const missing: readonly Missing[] = [
  {
    action: 'oss:PutObject',
    resource: objects,
    status: 'failed',
    also: [`permission oss:PutObjectAcl ${objects} unknown`],
  },
  { action: 'oss:PutObjectAcl', resource: objects, status: 'failed' },
  { action: 'oss:GetObject', resource: objects, status: 'warning' },
  { action: 'oss:GetBucketAcl', resource: bucket, status: 'warning', also: [`public ${bucket} unknown`] },
  { action: 'oss:GetBucketPolicyStatus', resource: bucket, status: 'warning', also: [`public ${bucket} unknown`] },
  {
    action: 'oss:ListCname',
    resource: bucket,
    status: 'warning',
    also: [`strangers ${bucket}/${prefix} unknown`, `domain ${bucket}/${onOss} unknown`],
  },
  {
    action: 'cdn:DescribeDomainCertificateInfo',
    resource: `domain/${onCdn}`,
    status: 'warning',
    also: [`domain cdn ${onCdn} unknown`],
  },
  { action: 'cdn:DescribeCdnDomainDetail', resource: `domain/${onCdn}`, status: 'warning' },
  {
    action: 'cdn:DescribeUserDomains',
    resource: '*',
    status: 'failed',
    words: ['--cdn-domain', 'auto'],
    also: [
      'dns cdn auto unknown',
      'served cdn auto unknown',
      'permission cdn:DescribeDomainCertificateInfo domain/* unknown',
    ],
  },
  {
    action: 'yundun-cert:ListUserCertificateOrder',
    resource: '*',
    status: 'failed',
    words: viaService,
    also: ['permission yundun-cert:GetUserCertificateDetail * unknown'],
  },
  {
    action: 'yundun-cert:GetUserCertificateDetail',
    resource: '*',
    status: 'failed',
    words: viaService,
  },
]

t.test('a right that is missing', async (t) => {
  const world = await openDoctor(t)
  const withAll = new Map<readonly string[], readonly string[]>()
  for (const { action, resource, also = [], status, words = world.targets } of missing) {
    world.emulator.addKey(world.key)
    const before = withAll.get(words) ?? (await world.ask(words)).amiss
    withAll.set(words, before)
    world.emulator.addKey({ ...world.key, deny: [{ action, resource: '*' }] })
    const told = await world.ask(words)
    const id = `permission ${action} ${resource}`
    const more = told.amiss.filter((one) => !before.includes(one))
    t.same([...more].sort(), [`${id} ${status}`, ...also].sort(), action)
    t.match(told.line(id), { sentence: /: refused, and (needed|recommended): it \w+/, hint: /acme-oss policy/ })
  }
})

t.test('what the cloud says of credentials, buckets and domains', async (t) => {
  const world = await openDoctor(t)
  const { ask, emulator } = world
  const toBucket = ['--bucket', bucket, '--endpoint', emulator.url, '--prefix', prefix]

  await t.test('a region that it is not in', async (t) => {
    const told = await ask([...toBucket, '--region', 'cn-beijing'])
    t.equal(told.code, 1)
    t.match(told.line(`endpoint ${bucket}`), {
      status: 'failed',
      hint: /^the bucket is at oss-cn-hangzhou\.aliyuncs\.com: give its region/,
    })
    t.match(told.line(`permission oss:PutObject ${objects}`).status, 'unknown', 'which says nothing of rights')
  })

  await t.test('a bucket that is not there', async (t) => {
    const told = await ask(['--bucket', 'none-of-ours', '--region', region, '--endpoint', emulator.url])
    t.match(told.line('endpoint none-of-ours'), { status: 'failed', sentence: /NoSuchBucket/, hint: /check --bucket/ })
  })

  await t.test('an account whose data is reached through bound domains alone, and versioning', async (t) => {
    const own = emulator.addBucket('of-a-new-account', { region, publicEndpointForbidden: true, versioning: 'Enabled' })
    const words = ['--bucket', own.name, '--region', region, '--endpoint', emulator.url]
    const told = await ask(words)
    t.match(told.line(`endpoint ${own.name}`), { status: 'failed', hint: /only through a domain bound to the bucket/ })
    t.match(told.line(`versioning ${own.name}`), {
      status: 'warning',
      sentence: /versioning of of-a-new-account is enabled/,
    })
  })

  await t.test('a bucket that anybody can read', async (t) => {
    const own = emulator.addBucket('open-to-all', { region, acl: 'public-read' })
    emulator.putObject(own.name, 'latest/README.md', '---\narchive: 2026-01-01_00000000\n---\n')
    const words = ['--bucket', own.name, '--region', region, '--endpoint', emulator.url]
    const told = await ask(words)
    t.equal(told.code, 1)
    t.match(told.line(`public ${own.name}`), { status: 'failed', sentence: 'open-to-all can be read by anybody' })
    t.match(told.line(`strangers ${own.name}/`), {
      status: 'failed',
      sentence: /can be read by anybody through 127\.0\.0\.1:/,
    })
    t.equal((await ask([...words, '--allow-public-bucket'])).line(`public ${own.name}`).status, 'warning')
  })

  await t.test('a key of the account itself, of a role, and none at all', async (t) => {
    emulator.addKey({ ...world.key, ofAccount: true })
    const account = await ask(['--bucket', bucket, '--region', region, '--endpoint', emulator.url])
    t.match(account.line('caller'), { status: 'warning', hint: /^make a RAM user/ })
    emulator.addKey(world.key)
    emulator.removeKey(world.key.id)
    const gone = await ask(world.targets)
    t.match(gone.line('caller'), { status: 'failed', hint: /no such access key/ })
    t.match(gone.line(`endpoint ${bucket}`), { status: 'failed', hint: /no such access key/ })
    t.equal(gone.line(`permission oss:GetObject ${objects}`).status, 'unknown')
    emulator.addKey(world.key)
    const none = await ask(world.targets, {
      environment: { ALIBABA_CLOUD_ACCESS_KEY_ID: undefined, ALIBABA_CLOUD_ACCESS_KEY_SECRET: undefined },
    })
    t.match(none.line('credentials'), { status: 'failed', hint: /ALIBABA_CLOUD_ACCESS_KEY_ID/ })
    t.equal(none.line(`endpoint ${bucket}`).status, 'unknown')
    t.equal(none.line('clock').status, 'ok', 'what takes none is looked at all the same')
  })

  await t.test('STS is out of reach, OSS is not', async (t) => {
    // A certificate that nobody trusts is not waited for.
    const elsewhere = `${world.edge.address}:${world.edge.port}`
    const told = await ask([...world.targets, '--sts-endpoint', `https://${elsewhere}`])
    t.match(told.line('caller'), { status: 'unknown', hint: /--sts-endpoint URL$/ })
    t.match(told.line('caller').sentence, `${elsewhere} cannot be reached`)
    t.equal(told.line(`endpoint ${bucket}`).status, 'ok')
  })

  await t.test('domains that are not what they were taken for', async (t) => {
    emulator.addDcdnDomain('dcdn.example.com', {})
    const told = await ask(['--cdn-domain', 'dcdn.example.com', '--cdn-domain', 'none.example.com'])
    t.match(told.line('domain cdn dcdn.example.com'), {
      status: 'failed',
      hint: 'use --dcdn-domain dcdn.example.com instead',
    })
    t.match(told.line('domain cdn none.example.com'), { status: 'failed', sentence: /InvalidDomain\.NotFound/ })
    const unbound = await ask([...world.toBuckets, '--oss-cname', `${bucket}/new.example.com`])
    t.match(unbound.line(`domain ${bucket}/new.example.com`), {
      status: 'warning',
      sentence: /not bound to my-ssl-certs yet/,
    })
  })
})

t.test('where DNS leads', async (t) => {
  const world = await openDoctor(t)
  const { ask, emulator, zone } = world
  const toOss = [...world.toBuckets, '--oss-cname', `${bucket}/${onOss}`]
  zone[onOss] = { cname: `${onOss}.w.kunlunaq.com`, a: ['127.0.0.1'] }

  const cdn = await ask(toOss)
  t.equal(cdn.code, 1)
  t.match(cdn.line(`dns ${onOss}`), {
    status: 'failed',
    sentence: `DNS of ${onOss} leads to CDN, so what is hosted on OSS is not seen there`,
    hint: `add --cdn-domain ${onOss} (or --dcdn-domain, if it is a DCDN domain)`,
  })
  emulator.addDcdnDomain(onOss, {})
  t.equal((await ask(toOss)).line(`dns ${onOss}`).hint, `add --dcdn-domain ${onOss}`, 'DCDN knows it')

  const both = await ask([...toOss, '--dcdn-domain', onOss])
  t.match(both.line(`dns ${onOss}`), { status: 'ok', sentence: /leads to CDN/ })

  zone[onCdn] = { cname: `${bucket}.oss-cn-hangzhou.aliyuncs.com`, a: ['127.0.0.1'] }
  const reversed = await ask(['--cdn-domain', 'auto'])
  t.match(reversed.line(`dns ${onCdn}`), { status: 'failed', hint: new RegExp(`^add --oss-cname ${onCdn}`) })
  t.equal(reversed.line(`served ${onCdn}`).status, 'failed', 'and it is looked at')

  const bound = await ask([
    ...world.toBuckets,
    '--bucket',
    bucket,
    '--endpoint',
    `https://${onOss}`,
    '--cname-endpoint',
  ])
  t.match(bound.line(`bound-endpoint ${bucket}`), {
    status: 'failed',
    sentence: `${onOss} leads to CDN, which takes no writing calls`,
  })
})

t.test('a clock that is wrong', async (t) => {
  const minutes = (count: number) => () => new Date(Date.now() + count * 60_000)
  for (const [by, status] of [
    [-3.5, 'warning'],
    [20.5, 'failed'],
  ] as const) {
    const world = await openDoctor(t, { emulator: { now: minutes(by) } })
    const told = await world.ask()
    t.match(told.line('clock'), { status, hint: /timedatectl set-ntp true/ })
    t.match(told.line('clock').sentence, by < 0 ? /is 3 min \d+ s ahead of/ : /is 20 min \d+ s behind/)
  }
})

t.test('what this machine has', async (t) => {
  const world = await openDoctor(t)
  const { ask, key } = world
  const offline = [...world.targets, '--offline']
  const env = (text: string, mode = 0o600): void => {
    chmodSync(world.file('env', text), mode)
  }

  await t.test('the file that the timer has its variables from', async (t) => {
    const without = await ask(offline)
    t.match(without.line('timer-credentials'), { status: 'warning', hint: /^write ALIBABA_CLOUD_ACCESS_KEY_ID/ })
    env(`ALIBABA_CLOUD_ACCESS_KEY_ID=LTAI5tSomebodyElse9999\nALIBABA_CLOUD_ACCESS_KEY_SECRET="y z"\n`, 0o644)
    const other = await ask(offline)
    t.match(other.line('timer-credentials'), {
      status: 'warning',
      sentence: /another access key \(…9999 .*\) than this call/,
    })
    t.match(other.line('timer-file'), { status: 'failed', hint: `chmod 600 ${world.path('env')}` })
    t.equal(other.code, 1)
    env(`ALIBABA_CLOUD_ACCESS_KEY_ID='${key.id}'\n`)
    t.match(
      (await ask(offline)).line('timer-credentials').sentence,
      /ACCESS_KEY_ID in it and not ALIBABA_CLOUD_ACCESS_KEY_SECRET/,
    )
  })

  await t.test('the timer, and its last run', async (t) => {
    env('')
    world.program('systemctl', 'printf "LoadState=loaded\\nUnitFileState=enabled\\nActiveState=active\\n"')
    const silent = await ask(offline)
    t.match(silent.line('timer'), { status: 'ok', sentence: /^acme-oss-renew\.timer is enabled/ })
    t.equal(silent.line('last-run').status, 'warning')
    t.equal(silent.line('timer-credentials').status, 'failed', 'which has nothing to work with')
    t.match(silent.line('timer-state'), { status: 'warning', sentence: /looks at \/var\/lib\/acme-oss, not at / })
    env(`ACME_OSS_STATE_DIR=${world.state}\n`)
    t.equal((await ask(offline)).line('timer-state').status, 'ok')

    t.equal((await world.run(['renew'], { terse: true })).code, 0)
    t.match((await ask(offline)).line('last-run'), {
      status: 'ok',
      sentence: /^acme-oss renew last ran through 0 min ago/,
    })
    writeFileSync(
      `${world.state}/last-run.json`,
      JSON.stringify({ schema: 1, at: new Date(Date.now() - 3 * 3_600_000).toISOString(), command: 'sync', status: 3 }),
    )
    t.match((await ask(offline)).line('last-run'), {
      status: 'failed',
      sentence: /^acme-oss sync last ran through 3 h ago/,
    })
    t.equal((await world.run(['sync'], { terse: true })).code, 0)
    t.match((await ask(offline)).line('last-run').sentence, /^acme-oss sync last ran through 0 min ago/)
    writeFileSync(`${world.state}/last-run.json`, 'x')
    t.equal((await ask(offline)).line('last-run').status, 'warning', 'a damaged one is none')

    world.program('systemctl', 'echo LoadState=not-found')
    world.program('crontab', 'echo "*/10 * * * * /usr/local/bin/acme-oss renew --quiet"')
    t.match((await ask(offline)).line('timer'), { status: 'ok', sentence: /this user's crontab$/ })
  })

  await t.test('credentials of a profile', async (t) => {
    mkdirSync(world.path('.aliyun'))
    const { id, secret } = key
    const profile = { name: 'p', mode: 'AK', access_key_id: id, access_key_secret: secret }
    writeFileSync(world.path('.aliyun/config.json'), JSON.stringify({ current: 'p', profiles: [profile] }))
    // The SDK looks for it in the home of the process itself.
    const told = await ask(world.targets, {
      here: false,
      environment: {
        HOME: world.folder,
        ALIBABA_CLOUD_ACCESS_KEY_ID: undefined,
        ALIBABA_CLOUD_ACCESS_KEY_SECRET: undefined,
      },
    })
    t.match(
      told.line('credentials').sentence,
      `credentials come from the profile in ~/.aliyun/config.json: the access key …${id.slice(-4)}`,
    )
    t.match(told.line('timer-credentials'), { status: 'ok', sentence: /the same as this call/ })
    t.equal(told.line(`permission oss:GetObject ${objects}`).status, 'ok')
  })

  await t.test('the state folder', async (t) => {
    t.equal((await ask(offline)).line('state-modes').status, 'ok')
    mkdirSync(`${world.state}/deployments`, { recursive: true, mode: 0o700 })
    writeFileSync(`${world.state}/deployments/key.pem`, '', { mode: 0o600 })
    chmodSync(`${world.state}/deployments/key.pem`, 0o640)
    const told = await ask(offline)
    t.match(told.line('state-modes'), { status: 'failed', hint: `chmod -R go= ${world.state}` })
    t.match(told.line('state-modes').sentence, /key\.pem/)
    const blocked = await ask([...offline, '--state-dir', `${world.path('env')}/below`])
    t.match(blocked.line('state'), { status: 'failed', hint: /--state-dir/ })
  })
})

t.test('what is looked at', async (t) => {
  const world = await openDoctor(t)
  const { ask, emulator } = world
  emulator.alidns.addZone('example.com')
  const config = world.file(
    'config.yaml',
    [
      'defaults:',
      `  oss: { bucket: ${bucket}, region: ${region}, endpoint: "${emulator.url}" }`,
      'certificates:',
      '  one-of-ours:',
      '    domains: ["*.example.com", example.org]',
      `    issue: { solver: alidns, alidns-endpoint: "${emulator.url}" }`,
      '    deploy: [ oss: { prefix: one } ]',
      '  two-of-ours:',
      `    domains: [${onCdn}]`,
      `    deploy: [ cdn: { domain: auto, cdn-endpoint: "${emulator.url}" } ]`,
      '  three-of-ours:',
      '    domains: [example.net]',
      `    issue: { solver: bucket, challenge-bucket: ${bucket}, challenge-region: ${region}, challenge-endpoint: "${emulator.url}" }`,
      `    deploy: [ directory: { path: "${world.path('config.yaml', 'below')}" } ]`,
      '',
    ].join('\n'),
  )
  chmodSync(config, 0o644)

  await t.test('all entries of the configuration', async (t) => {
    const told = await ask(['--config', config])
    t.match(told.line('configuration'), { status: 'ok', sentence: `${config} is in order: certificates: 3` })
    t.equal(told.line('configuration-file').status, 'ok')
    t.match(told.line('zone example.com'), { status: 'ok', sentence: /lies in the zone example\.com/ })
    t.match(told.line('zone example.org'), { status: 'warning', hint: /CNAME/ })
    t.equal(told.line(`strangers ${bucket}/one/`).status, 'ok')
    t.equal(told.line(`dns ${onCdn}`).status, 'ok', 'what auto finds is looked at')
    t.match(told.line(`folder ${config}/below`), { status: 'failed', hint: `look who may: ls -ld ${config}` })
    const challenges = `${bucket}/.well-known/acme-challenge/*`
    t.match(told.line(`permission oss:PutObject ${challenges}`), { status: 'ok', sentence: /likely granted/ })
    t.equal(told.line(`permission oss:DeleteObject ${challenges}`).status, 'unknown')
    t.equal(world.objects.size, 0)
    t.match(
      told.checks
        .filter(({ id }) => id.startsWith('permission alidns:'))
        .map(({ id, status }) => `${id.split(' ')[1]} ${status}`),
      ['alidns:AddDomainRecord unknown', 'alidns:DeleteDomainRecord unknown'],
    )
  })

  await t.test('those that are named', async (t) => {
    const told = await ask(['--config', config, 'two-of-ours'])
    t.notOk(told.checks.some(({ id }) => id.includes('one/') || id.startsWith('zone')))
    const refused = await world.run(['doctor', '--config', config, 'two-of-our'], { terse: true })
    t.match(refused, { code: 2, stderr: /did you mean two-of-ours\?/ })
  })

  await t.test('a configuration that is broken, and one that others may write', async (t) => {
    const broken = await ask(['--config', world.file('broken.yaml', 'certificate: {}\n'), '--offline'])
    t.equal(broken.code, 1)
    t.match(broken.line('configuration'), { status: 'failed', sentence: /broken\.yaml:1/ })
    chmodSync(config, 0o666)
    const open = await ask(['--config', config, '--offline'])
    t.match(open.line('configuration-file'), { status: 'failed', hint: `chmod go-w ${config}` })
  })

  await t.test('what is on record, where there is neither', async (t) => {
    const empty = await ask(['--offline'])
    t.match(empty.line('configuration'), { status: 'unknown', hint: /config init/ })
    await world.give(t, world.material, ['--cdn-domain', onCdn, ...world.toEdges])
    const before = readdirSync(world.state, { recursive: true }).length
    const told = await ask([])
    t.equal(told.line(`domain cdn ${onCdn}`).status, 'ok')
    t.equal(told.line(`dns ${onCdn}`).status, 'ok')
    t.equal(readdirSync(world.state, { recursive: true }).length, before)
  })
})

await proveNoKeyLeaks(t)
