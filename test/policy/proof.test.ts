// Is the policy that is printed enough, and is it the least? A key that may do exactly what it says deploys as a user
// would; then every single action is taken away again, and what was needed has to be missed.
import t, { type Test } from 'tap'
import { inTurns } from '../config/config-world.js'
import {
  bucket,
  daysFromNow,
  mintMaterial,
  openWorld,
  prefix,
  proveSilence,
  region,
  resultOf,
  type World,
  type WorldOptions,
  type WorldRun,
} from '../deploy-world.js'
import type { Statement } from '../emulator/permissions.js'
import type { RunResult } from '../run-command.js'

const material = await mintMaterial({
  names: ['example.com', 'www.example.com', 'static.example.com', '*.wild.example.com'],
})
const expired = await mintMaterial({ notBefore: daysFromNow(-90), notAfter: daysFromNow(-1) })

interface Printed {
  readonly policy: {
    readonly Version: string
    readonly Statement: readonly {
      readonly Effect: string
      readonly Action: readonly string[]
      readonly Resource: readonly string[]
    }[]
  }
  readonly statements: readonly { readonly for: readonly string[]; readonly needed: boolean; readonly why: string }[]
  readonly warnings: readonly string[]
}

interface PrintedStatement extends Statement {
  readonly action: readonly string[]
  readonly resource: readonly string[]
  readonly needed: boolean
}

const nobody = { ALIBABA_CLOUD_ACCESS_KEY_ID: undefined, ALIBABA_CLOUD_ACCESS_KEY_SECRET: undefined }

/** What the command prints, without credentials; nothing is reached for. */
const printed = async (
  t: Test,
  world: World,
  words: readonly string[],
  environment: WorldRun['environment'] = {},
): Promise<PrintedStatement[]> => {
  const before = world.emulator.requests.length
  const run = await world.call(['policy', '--json', ...words], { environment: { ...environment, ...nobody } })
  t.equal(run.code, 0, run.stderr)
  t.equal(world.emulator.requests.length, before, 'nothing was asked of the cloud')
  const { policy, statements } = JSON.parse(run.stdout) as Printed
  t.equal(policy.Statement.length, statements.length, 'each is explained')
  return policy.Statement.map(({ Action, Resource }, i) => ({
    action: Action,
    resource: Resource,
    needed: statements[i]?.needed === true,
  }))
}

const grant = (world: World, allow: readonly Statement[]): void => world.emulator.addKey({ ...world.key, allow })

const denials = ({ emulator }: World): string[] =>
  emulator.requests
    // What is tried as a stranger is to be denied.
    .filter(({ accessKeyId }) => accessKeyId !== undefined)
    .filter(({ answer }) => ['AccessDenied', 'Forbidden.RAM'].includes(answer?.code ?? ''))
    .map(({ action, key }) => `${action} ${key ?? ''}`)

/** All but these actions. */
const without = (statements: readonly Statement[], ...taken: readonly string[]): Statement[] =>
  statements.flatMap(({ action, resource }) => {
    const left = [action].flat().filter((one) => !taken.includes(one))
    return left.length === 0 ? [] : [{ action: left, resource }]
  })

// Where DNS really leads to is nobody's question here.
const elsewhere = ['--connect', '127.0.0.1:9']

const deployed = (world: World, words: readonly string[]): Promise<RunResult> =>
  world.deploy(material, [...words, ...elsewhere])

/** The same in this process, for the many times that one action is missing. */
const deployedHere = (world: World, words: readonly string[]): Promise<RunResult> =>
  world.call(['deploy', '--fullchain', '-', ...words, ...elsewhere], { input: material.fullchain + material.key })

/** What comes of a recommended right that is missing: a notice, nothing but a denial, or not even that. */
type Missed = RegExp | 'denied' | 'unasked'

interface Scenario {
  readonly world?: WorldOptions
  /** Sets the cloud up, and says by which flags it is reached. */
  arrange(world: World): readonly string[]
  readonly needed: readonly string[]
  readonly recommended: Readonly<Record<string, Missed>>
}

const toBucket = ({ emulator }: World): string[] => ['--region', region, '--endpoint', emulator.url]
const edges = ({ emulator }: World): string[] => ['--cdn-endpoint', emulator.url, '--dcdn-endpoint', emulator.url]
const toService = ({ emulator }: World): string[] => ['--cas-endpoint', emulator.url]

const unread = /written without looking, since reading is not permitted/
const unlisted = /written without looking, since listing the domains is not permitted/

const hosting = [
  'yundun-cert:CreateSSLCertificate',
  'yundun-cert:DescribeSSLCertificatePrivateKey',
  'yundun-cert:DescribeSSLCertificatePublicKeyDetail',
]
const keeping = [
  'yundun-cert:GetUserCertificateDetail',
  'yundun-cert:ListUserCertificateOrder',
  'yundun-cert:UploadUserCertificate',
]

const layout: Scenario['recommended'] = {
  'oss:GetBucketAcl': 'unasked',
  'oss:GetBucketPolicyStatus': 'unasked',
  'oss:GetObject': unread,
}

const scenarios: Readonly<Record<string, Scenario>> = {
  'a layout': {
    arrange: (world) => ['--bucket', bucket, '--prefix', prefix, ...toBucket(world)],
    needed: ['oss:PutObject'],
    recommended: { ...layout, 'oss:PutObjectAcl': 'denied' },
  },
  'a layout at the top of a bucket, encrypted, and looked at by strangers': {
    arrange: (world) => ['--bucket', bucket, '--sse', 'KMS', '--verify', ...toBucket(world)],
    needed: ['kms:Decrypt', 'kms:GenerateDataKey', 'oss:PutObject'],
    recommended: {
      ...layout,
      'oss:PutObjectAcl': 'denied',
      'oss:ListCname': /the domains that are bound to \S+ may not be listed/,
    },
  },
  'a bound domain': {
    arrange: (world) => {
      world.emulator.bindCname('static.example.com', bucket)
      return ['--oss-cname', `${bucket}/static.example.com`, ...toBucket(world)]
    },
    needed: ['oss:PutCname', ...hosting],
    recommended: { 'oss:CreateCnameToken': 'unasked', 'oss:ListCname': unlisted },
  },
  'every bound domain, and the layout in the same bucket': {
    arrange: (world) => {
      world.emulator.bindCname('static.example.com', bucket)
      world.emulator.bindCname('www.example.com', bucket)
      return ['--bucket', bucket, '--oss-cname', 'auto', '--prefix', prefix, ...toBucket(world)]
    },
    needed: ['oss:ListCname', 'oss:PutCname', 'oss:PutObject', 'oss:PutObjectAcl', ...hosting],
    recommended: layout,
  },
  'a bound domain, by the certificate service': {
    arrange: (world) => {
      world.emulator.bindCname('static.example.com', bucket)
      return ['--oss-cname', `${bucket}/static.example.com`, '--via-cas', ...toBucket(world), ...toService(world)]
    },
    needed: ['oss:PutCname', ...hosting, ...keeping],
    recommended: { 'oss:CreateCnameToken': 'unasked', 'oss:ListCname': unlisted },
  },
  'CDN domains, a wildcard among them': {
    arrange: (world) => {
      world.emulator.addCdnDomain('www.example.com')
      world.emulator.addCdnDomain('.wild.example.com')
      return ['--cdn-domain', 'www.example.com', '--cdn-domain', '*.wild.example.com', ...edges(world)]
    },
    needed: ['cdn:SetCdnDomainSSLCertificate'],
    recommended: { 'cdn:DescribeDomainCertificateInfo': unread },
  },
  'every CDN domain': {
    arrange: (world) => {
      for (const name of ['www.example.com', 'static.example.com', '.wild.example.com', 'other.example.net']) {
        world.emulator.addCdnDomain(name)
      }
      return ['--cdn-domain', 'auto', '--enable-https', ...edges(world)]
    },
    needed: ['cdn:DescribeUserDomains', 'cdn:SetCdnDomainSSLCertificate'],
    recommended: { 'cdn:DescribeDomainCertificateInfo': unread },
  },
  'a DCDN domain': {
    arrange: (world) => {
      world.emulator.addDcdnDomain('www.example.com')
      return ['--dcdn-domain', 'www.example.com', ...edges(world)]
    },
    needed: ['dcdn:SetDcdnDomainSSLCertificate'],
    recommended: { 'dcdn:DescribeDcdnDomainCertificateInfo': unread },
  },
  'every DCDN domain, by the certificate service': {
    arrange: (world) => {
      world.emulator.addDcdnDomain('www.example.com')
      return ['--dcdn-domain', 'auto', '--enable-https', '--via-cas', ...edges(world), ...toService(world)]
    },
    needed: ['dcdn:DescribeDcdnUserDomains', 'dcdn:SetDcdnDomainSSLCertificate', ...keeping],
    recommended: { 'dcdn:DescribeDcdnDomainCertificateInfo': unread },
  },
  'the certificate service, tidied up': {
    arrange: (world) => {
      world.emulator.cas.add({ name: 'acme-oss-old', fullchain: expired.fullchain, key: expired.key })
      return ['--cas-prune', ...toService(world)]
    },
    needed: keeping,
    recommended: { 'yundun-cert:DeleteUserCertificate': /acme-oss-old stays in the certificate service: .*Forbidden/ },
  },
  'all at once': {
    arrange: (world) => {
      const { emulator } = world
      emulator.addBucket('site', { region })
      emulator.bindCname('static.example.com', bucket)
      emulator.bindCname('example.com', 'site')
      emulator.addCdnDomain('www.example.com', { origin: bucket })
      emulator.addDcdnDomain('.wild.example.com')
      emulator.cas.add({ name: 'acme-oss-old', fullchain: expired.fullchain, key: expired.key })
      const own = ['--bucket', bucket, '--prefix', prefix, '--sse', 'KMS', '--oss-cname', 'static.example.com']
      const more = ['--oss-cname', 'site/example.com', '--cdn-domain', 'www.example.com', '--dcdn-domain', 'auto']
      const service = ['--enable-https', '--via-cas', '--cas-prune', '--directory', world.path('out')]
      return [...own, ...more, ...service, ...toBucket(world), ...edges(world), ...toService(world)]
    },
    needed: [
      'cdn:SetCdnDomainSSLCertificate',
      'dcdn:DescribeDcdnUserDomains',
      'dcdn:SetDcdnDomainSSLCertificate',
      'kms:Decrypt',
      'kms:GenerateDataKey',
      'oss:PutCname',
      'oss:PutObject',
      'oss:PutObjectAcl',
      ...hosting,
      ...keeping,
    ],
    recommended: {
      ...layout,
      'cdn:DescribeCdnDomainDetail': 'unasked',
      'cdn:DescribeDomainCertificateInfo': unread,
      'dcdn:DescribeDcdnDomainCertificateInfo': unread,
      'oss:CreateCnameToken': 'unasked',
      'oss:ListCname': unlisted,
      'yundun-cert:DeleteUserCertificate': /acme-oss-old stays in the certificate service/,
    },
  },
}

const actionsOf = (statements: readonly PrintedStatement[], needed: boolean): string[] =>
  statements.flatMap((one) => (one.needed === needed ? one.action : [])).sort()

for (const [name, scenario] of Object.entries(scenarios)) {
  t.test(name, async (t) => {
    /** A cloud of its own, where only these may be done. */
    const tried = async (
      choose: (all: readonly PrintedStatement[]) => readonly Statement[],
      deploy = deployed,
    ): Promise<RunResult & { readonly world: World }> => {
      const world = await openWorld(t, { ...scenario.world, allow: [] })
      const words = scenario.arrange(world)
      grant(world, choose(await printed(t, world, words)))
      return { world, ...(await deploy(world, words)) }
    }

    const { world, code, stderr } = await tried((all) => {
      t.same(actionsOf(all, true), [...scenario.needed].sort(), 'needed')
      t.same(actionsOf(all, false), Object.keys(scenario.recommended).sort(), 'recommended')
      for (const action of all.flatMap((one) => one.action)) t.notMatch(action, /[*?]/, 'nothing but what was named')
      return all
    })
    t.equal(code, 0, stderr)
    t.same(denials(world), [], 'it is enough: nothing was denied')

    const minimal = await tried((all) => all.filter(({ needed }) => needed))
    t.equal(minimal.code, 0, `what is needed is enough: ${minimal.stderr}`)
    t.same(
      await printed(t, minimal.world, ['--minimal', ...scenario.arrange(minimal.world)]),
      (await printed(t, minimal.world, scenario.arrange(minimal.world))).filter(({ needed }) => needed),
      '--minimal',
    )

    await inTurns(scenario.needed, async (action) => {
      const lacking = await tried((all) => without(all, action), deployedHere)
      t.match(lacking.code, /^[13]$/, `it fails without ${action}`)
      t.match(lacking.stderr, /AccessDenied|Forbidden\.RAM|may not be listed|private key was not written/, action)
      t.match(lacking.stderr, /acme-oss policy prints all that is needed|grant oss:PutObjectAcl/, 'and says what to do')
    })
    await inTurns(Object.entries(scenario.recommended), async ([action, missed]) => {
      const lacking = await tried((all) => without(all, action), deployedHere)
      t.equal(lacking.code, 0, `it succeeds without ${action}: ${lacking.stderr}`)
      t.equal(denials(lacking.world).length > 0, missed !== 'unasked', `denied: ${action}`)
      if (missed instanceof RegExp) t.match(lacking.stderr, missed, action)
    })
  })
}

t.test('what is asked only where something else is missing', async (t) => {
  const tried = async (
    words: (world: World) => readonly string[],
    taken: readonly string[],
    options: WorldOptions = {},
  ): Promise<RunResult & { readonly world: World }> => {
    const world = await openWorld(t, { ...options, allow: [] })
    const line = words(world)
    grant(world, without(await printed(t, world, line), ...taken))
    return { world, ...(await deployedHere(world, line)) }
  }
  const protect = 'oss:PutObjectAcl'
  const simple = (world: World) => ['--bucket', bucket, ...toBucket(world)]
  const notWritten = /the private key was not written/

  const unknown = await tried(simple, [protect, 'oss:GetBucketAcl'])
  t.equal(unknown.code, 0, unknown.stderr)
  t.match(
    unknown.stderr,
    /whether \S+ is private cannot be read/,
    'oss:GetBucketAcl tells whether the bucket is private',
  )

  const open = { bucket: { policyPublic: true } }
  t.match(await tried(simple, [], open), { code: 0 })
  t.match(await tried(simple, [protect], open), { code: 1, stderr: notWritten })
  const blind = await tried(simple, [protect, 'oss:GetBucketPolicyStatus'], open)
  t.equal(blind.code, 0, 'oss:GetBucketPolicyStatus is what tells')

  const behindCdn = (world: World) => {
    world.emulator.addCdnDomain('www.example.com', { origin: bucket })
    return [...simple(world), '--cdn-domain', 'www.example.com', ...edges(world)]
  }
  t.match(await tried(behindCdn, []), { code: 0 })
  t.match(await tried(behindCdn, [protect]), { code: 3, stderr: notWritten })
  const unseeing = await tried(behindCdn, [protect, 'cdn:DescribeCdnDomainDetail'])
  t.equal(unseeing.code, 0, 'cdn:DescribeCdnDomainDetail is what tells')

  const unbound = (world: World) => ['--oss-cname', `${bucket}/static.example.com`, ...toBucket(world)]
  t.match(await tried(unbound, []), {
    code: 1,
    stderr: /add the DNS record _dnsauth\.static\.example\.com of type TXT/,
  })
  t.match(await tried(unbound, ['oss:CreateCnameToken']), { code: 1, stderr: /grant oss:CreateCnameToken/ })
})

t.test('it is for these places alone', async (t) => {
  const world = await openWorld(t, { allow: [] })
  const { emulator } = world
  emulator.addBucket('other-certs', { region })
  for (const name of ['www.example.com', 'static.example.com']) emulator.addCdnDomain(name)
  const to = (into: string, under: string, domain: string) =>
    ['--bucket', into, '--prefix', under, '--cdn-domain', domain].concat(toBucket(world), edges(world))
  const own = to(bucket, 'certs/a/', 'www.example.com')
  grant(world, await printed(t, world, own))
  const others = [
    to('other-certs', 'certs/a/', 'www.example.com'),
    to(bucket, 'certs/ab/', 'www.example.com'),
    to(bucket, 'certs/', 'www.example.com'),
    to(bucket, 'certs/a/', 'static.example.com'),
  ]
  for (const words of others) t.equal((await deployed(world, words)).code, 3, words.join(' '))
  t.equal((await deployed(world, own)).code, 0)
})

t.test('a hook whose targets stand in the environment', async (t) => {
  const world = await openWorld(t, { allow: [] })
  world.emulator.bindCname('static.example.com', bucket)
  world.emulator.addCdnDomain('www.example.com')
  const environment = {
    ACME_OSS_BUCKET: bucket,
    ACME_OSS_REGION: region,
    ACME_OSS_PREFIX: prefix,
    ACME_OSS_ENDPOINT: world.emulator.url,
    ACME_OSS_OSS_CNAME: 'static.example.com',
    ACME_OSS_CDN_DOMAIN: 'www.example.com',
    ACME_OSS_CDN_ENDPOINT: world.emulator.url,
  }
  const lineage = { RENEWED_LINEAGE: world.folder, ACME_OSS_CONNECT: '127.0.0.1:9' }
  world.file('fullchain.pem', material.fullchain)
  world.file('privkey.pem', material.key)
  const hook = () => world.run(['hook', 'certbot', '--json'], { environment: { ...environment, ...lineage } })

  const refused = await hook()
  t.equal(refused.code, 1)
  const errors = resultOf(refused).stages.flatMap(({ steps }) => steps.flatMap(({ error }) => error?.hint ?? []))
  t.equal(errors.length, 3)
  for (const hint of errors) t.match(hint, /acme-oss policy prints all that is needed/, 'every denial leads here')

  const before = denials(world).length
  grant(world, await printed(t, world, [], environment))
  const done = await hook()
  t.equal(done.code, 0, done.stderr)
  t.equal(denials(world).length, before, 'nothing more was denied')
})

await proveSilence(t)
