// `acme-oss https` as one types it: forced, loosened, put back and ended, at a bucket with a domain, at CDN and at DCDN,
// measured by what the emulator holds and by what visitors get.
import { readFileSync, writeFileSync } from 'node:fs'
import { request as secureRequest } from 'node:https'
import t, { type Test } from 'tap'
import { mintMaterial, proveSilence, region, root } from '../deploy-world.js'
import type { Edge } from '../emulator/edge/edge.js'
import { sendRaw } from '../emulator/send-raw.js'
import type { RunResult } from '../run-command.js'
import { changesIn, dialling, openServedWorld, type ServedWorld } from '../served/served-world.js'

const material = await mintMaterial({ names: ['example.com', '*.example.com'] })
const stranger = await mintMaterial({ names: ['shop.example.net'] })
const name = 'example.com'
const bucket = 'my-site'
const [host, www, api] = ['static.example.com', 'www.example.com', 'api.example.com']

const policy =
  '{ "Version" : "1",\n  "Statement" : [ {"Effect":"Allow","Principal":["27"],"Action":["oss:GetObject"],"Resource":["acs:oss:*:*:my-site/open/*"]} ] }\n'
const configuration =
  '<?xml version="1.0"?><HttpsConfiguration><TLS><Enable>true</Enable><TLSVersion>TLSv1.1</TLSVersion><TLSVersion>TLSv1.2</TLSVersion></TLS><CipherSuite><Enable>true</Enable><StrongCipherSuite>true</StrongCipherSuite></CipherSuite></HttpsConfiguration>'

interface Site extends ServedWorld {
  readonly edge: Edge
  /** `https …`, in this process, with the way to the cloud and to its edges. */
  https(words: readonly string[]): Promise<RunResult>
  /** What a visitor gets by plain HTTP at each of the three. */
  visits(): Promise<(number | string)[]>
  /** All that the cloud holds and that `https` may change. */
  held(): unknown
}

const openSite = async (t: Test): Promise<Site> => {
  const world = await openServedWorld(t)
  const { emulator } = world
  const site = emulator.addBucket(bucket, { region, policy, httpsConfig: configuration })
  emulator.putObject(bucket, 'open', 'for all', { 'x-oss-object-acl': 'public-read' })
  emulator.bindCname(host, bucket)
  const domains = [
    emulator.addCdnDomain(www, {
      origin: bucket,
      functions: [
        { name: 'http_force', args: { enable: 'off', http_rewrite: '301' } },
        { name: 'gzip', args: { enable: 'on' } },
      ],
    }),
    emulator.addDcdnDomain(api, {
      origin: bucket,
      functions: [
        { name: 'HSTS', args: { enabled: 'on', https_hsts_max_age: '86400', https_hsts_include_subdomains: 'on' } },
        { name: 'https_force', args: { enable: 'on', https_rewrite: '308' } },
      ],
    }),
  ]
  const [edge, plain] = await Promise.all([emulator.startEdge(), emulator.startPlainEdge()])
  const cloud = ['--cdn-endpoint', emulator.url, '--dcdn-endpoint', emulator.url]
  const targets = ['--oss-cname', host, '--cdn-domain', www, '--dcdn-domain', api, '--enable-https']
  const words = [
    '--bucket',
    bucket,
    '--region',
    region,
    '--endpoint',
    emulator.url,
    '--no-layout',
    ...world.reach,
    ...targets,
  ]
  const deployed = await world.deploy(material, [...words, '--name', name], { here: true })
  if (deployed.code !== 0) throw new Error(deployed.stderr)
  return {
    ...world,
    edge,
    https: ([verb = '', ...words]) =>
      world.run(
        ['https', verb, ...words, ...cloud, ...(verb === 'enforce' || verb === 'status' ? dialling(edge) : [])],
        {
          here: true,
          terse: true,
        },
      ),
    visits: () =>
      Promise.all(
        [host, www, api].map(async (one) => {
          const { status, headers } = await sendRaw(plain.port, { host: one, target: '/open' })
          return status === 200 || status === 403 ? status : `${status} ${headers['location']}`
        }),
      ),
    held: () => ({
      policy: site.policy,
      configuration: site.httpsConfig,
      functions: domains.map(({ functions }) => functions.map(({ name: of, args }) => [of, { ...args }]).sort()),
      https: domains.map(({ https }) => https),
      hosted: emulator.cname(host)?.certificate?.certId,
    }),
  }
}

const placesIn = ({ stdout }: RunResult) => (JSON.parse(stdout) as { places: Place[] }).places
interface Place {
  readonly place: string
  readonly status: string
  readonly facts: Record<string, unknown> | null
  readonly changes: { readonly part: string; readonly status: string; readonly before: string | null }[]
  readonly relaxedSince: string | null
  readonly live: { readonly host: string; readonly versions: Record<string, string> }[] | null
  readonly error: { readonly code: string } | null
}

/** What browsers are told at a host. */
const hstsOf = ({ address, port }: Edge, servername: string): Promise<string | undefined> =>
  new Promise((resolve, reject) => {
    const options = { host: address, port, servername, path: '/open', ca: root.pem, headers: { Host: servername } }
    secureRequest(options, (answer) => {
      answer.resume()
      answer.on('end', () => resolve(answer.headers['strict-transport-security']))
    })
      .on('error', reject)
      .end()
  })

t.test('forced, loosened in an emergency, and put back twice', async (t) => {
  const site = await openSite(t)
  const before = site.held()
  const visited = await site.visits()
  t.same(visited, [200, 200, `308 https://${api}/open`])

  const from = site.emulator.requests.length
  const dry = await site.https(['enforce', name, '--dry-run', '--json'])
  t.equal(dry.code, 0, dry.stderr)
  t.same(
    placesIn(dry)
      .map(({ place, status }) => `${place}: ${status}`)
      .sort(),
    [`CDN domain ${www}: planned`, `DCDN domain ${api}: planned`, `bucket ${bucket}: planned`],
  )
  const bucketChanges = placesIn(dry).find(({ place }) => place.startsWith('bucket'))?.changes
  t.same(
    bucketChanges?.map(({ part, before: text }) => [part, text]),
    [
      ['tls', configuration],
      ['policy', policy],
    ],
  )
  t.same(changesIn(site.emulator.requests.slice(from)), [], 'a dry run changes nothing')
  t.same(site.held(), before)

  const enforced = await site.https(['enforce', name])
  t.equal(enforced.code, 0, enforced.stderr)
  t.same(await site.visits(), [403, `301 https://${www}/open`, `301 https://${api}/open`])
  t.equal(await hstsOf(site.edge, www), 'max-age=300', 'small at first')
  t.equal(await hstsOf(site.edge, api), 'max-age=86400; includeSubDomains', 'what was longer stays')
  t.match(enforced.stderr, /warning: .*CDN domain www\.example\.com fetches from the bucket/)
  const after = site.held() as { policy: string; configuration: string }
  t.ok(after.policy.includes(policy.slice(policy.indexOf('{"Effect"'), policy.indexOf('} ]'))), 'to the byte')
  t.match(after.configuration, /<CipherSuite><Enable>true<\/Enable><StrongCipherSuite>true/)
  t.match(after.configuration, /<TLSVersion>TLSv1.2<\/TLSVersion>\s*<TLSVersion>TLSv1.3<\/TLSVersion>/)
  const again = await site.https(['enforce', name, '--json'])
  t.same(new Set(placesIn(again).map(({ status }) => status)), new Set(['unchanged']))
  t.same(site.held(), after)

  const live = placesIn(await site.https(['status', name, '--live', '--json'])).flatMap((one) => one.live ?? [])
  t.same(
    live.map((one) => [one.host, one.versions]).sort(),
    [api, host, www].map((one) => [one, { '1.0': 'refused', '1.1': 'refused', '1.2': 'accepted', '1.3': 'accepted' }]),
  )

  const relaxed = await site.https(['relax', name])
  t.equal(relaxed.code, 0, relaxed.stderr)
  t.same(await site.visits(), [200, 200, 200], 'plain HTTP works')
  t.equal(await hstsOf(site.edge, www), 'max-age=0')
  t.match(relaxed.stderr, /warning: browsers hold www\.example\.com to HTTPS for up to 5 minutes/)
  t.match(relaxed.stdout, /relaxed since \d{4}-/)
  t.ok(placesIn(await site.https(['status', '--json'])).every(({ relaxedSince }) => relaxedSince !== null))

  const reminded = await site.call(['status', '--no-look', '--json'])
  t.equal(reminded.code, 1, 'a person should know')
  t.same(
    JSON.parse(reminded.stdout).relaxed.map((one: { place: string }) => one.place),
    [`bucket ${bucket}`, `CDN domain ${www}`, `DCDN domain ${api}`].sort(),
  )

  const record = site.path('state', 'https', encodeURIComponent(`cdn ${www}`), 'record.json')
  const saved = readFileSync(record, 'utf8')
  writeFileSync(record, '{')
  t.match((await site.https(['status', '--cdn-domain', www])).stderr, /warning: what was saved of the HTTPS of cdn www/)
  const told = await site.call(['status', '--no-look'])
  t.equal(told.code, 1)
  t.match(told.stdout + told.stderr, /whether it is relaxed: .*record\.json/)
  writeFileSync(record, saved)

  t.equal((await site.https(['restore', name])).code, 0)
  t.equal((await site.call(['status', '--no-look'])).code, 0, 'nobody needs to be reminded any more')
  t.same(site.held(), after, 'as it was enforced')
  t.ok(placesIn(await site.https(['status', '--json'])).every(({ relaxedSince }) => relaxedSince === null))
  t.equal((await site.https(['restore', name])).code, 0)
  t.same(site.held(), before, 'byte for byte')
  t.same(await site.visits(), visited)
  const third = await site.https(['restore', name])
  t.equal(third.code, 2)
  t.match(third.stderr, /nothing is saved of/)
})

t.test('ended, and begun again from what was saved', async (t) => {
  const site = await openSite(t)
  const run = await site.https(['disable', name])
  t.equal(run.code, 0, run.stderr)
  t.same(await site.visits(), [200, 200, 200])
  t.match(site.held(), { https: [false, false], hosted: undefined, policy })
  t.match(run.stderr, /acme-oss forget/)
  const restored = await site.https(['restore', name, '--json'])
  t.equal(restored.code, 3, 'CDN keeps no key')
  t.same(
    placesIn(restored)
      .map(({ place, status, error }) => [place.split(' ')[0], status, error === null])
      .sort(),
    [
      ['CDN', 'failed', false],
      ['DCDN', 'failed', false],
      ['bucket', 'changed', true],
    ],
  )
  t.type((site.held() as { hosted: string }).hosted, 'string')
})

t.test('nothing is forced where HTTPS does not answer, or a CA needs plain HTTP', async (t) => {
  const site = await openSite(t)
  const { emulator } = site
  const before = site.held()
  const img = 'img.example.com'
  emulator.addCdnDomain(img, { certificate: stranger })
  const at = ['--bucket', bucket, '--region', region, '--endpoint', emulator.url, '--dcdn-domain', api]
  const run = await site.https(['enforce', ...at, '--cdn-domain', img, '--json'])
  t.equal(run.code, 3)
  t.same(
    placesIn(run)
      .map(({ place, error }) => [place.split(' ')[0], error?.code ?? null])
      .sort(),
    [
      ['CDN', 'NOT_SERVED'],
      ['DCDN', null],
      ['bucket', null],
    ],
  )
  t.equal((await site.https(['restore', ...at])).code, 0)
  t.same((site.held() as { policy: string }).policy, (before as { policy: string }).policy)

  const config = site.file(
    'acme-oss.yaml',
    `certificates:\n  site:\n    domains: [${host}]\n    issue: { ca: 'https://ca.example/dir' }\n    deploy:\n      - oss-cname: { bucket: ${bucket}, region: ${region}, domain: ${host}, endpoint: '${emulator.url}' }\n`,
  )
  const needed = await site.https(['enforce', 'site', '--config', config, '--json'])
  t.equal(needed.code, 1)
  t.match(placesIn(needed)[0]?.error, { code: 'HTTP_NEEDED', message: /site is renewed by http-01/, hint: /dns-01/ })
  t.same((site.held() as { policy: string }).policy, (before as { policy: string }).policy)
  const forced = await site.https(['enforce', 'site', '--config', config, '--no-check', '--json'])
  t.equal(forced.code, 0, forced.stderr)
  t.equal((await site.visits())[0], 403)
})

t.test('one that may not be changed keeps no other from it', async (t) => {
  const site = await openSite(t)
  site.emulator.addKey({ ...site.key, deny: [{ action: 'cdn:BatchSetCdnDomainConfig', resource: '*' }] })
  const run = await site.https(['enforce', name])
  t.equal(run.code, 3)
  t.match(run.stderr, /error: .*CDN domain www\.example\.com.*\n.*what to do: .*cdn:BatchSetCdnDomainConfig/)
  t.match(await site.visits(), [403, 403, /^301/], 'what CDN fetches by plain HTTP is denied, as it was warned')
  site.emulator.addKey(site.key)
  t.equal((await site.https(['enforce', name])).code, 0)
  t.match(await site.visits(), [403, /^301/, /^301/])
})

t.test('what was set for deployments widens nothing, and a place is one however it is named', async (t) => {
  const site = await openSite(t)
  const { emulator } = site
  const environment = {
    ACME_OSS_BUCKET: bucket,
    ACME_OSS_CDN_DOMAIN: 'auto',
    ACME_OSS_GZIP: '1',
    ACME_OSS_REGION: region,
  }
  const words = ['--cdn-endpoint', emulator.url, '--dcdn-endpoint', emulator.url, '--json']
  const enforced = await site.call(['https', 'enforce', '--dcdn-domain', api, ...words, ...dialling(site.edge)], {
    environment,
  })
  t.equal(enforced.code, 0, enforced.stderr)
  t.same(
    placesIn(enforced).map(({ place }) => place),
    [`DCDN domain ${api}`],
  )
  const nowhere = await site.call(['https', 'relax', ...words], { environment })
  t.equal(nowhere.code, 2)
  t.match(nowhere.stdout, /was not told where/)
  const relaxed = await site.call(['https', 'relax', name, ...words], { environment })
  t.equal(relaxed.code, 0, relaxed.stdout)
  t.same(await site.visits(), [200, 200, 200])

  const config = site.file(
    'same.yaml',
    `certificates:\n  other:\n    deploy:\n      - oss-cname: { bucket: ${bucket}, region: oss-${region}, domain: ${host}, endpoint: '${emulator.url}/' }\n`,
  )
  const all = await site.call(['https', 'status', '--config', config, ...words])
  t.same(
    placesIn(all)
      .map(({ place }) => place)
      .sort(),
    [`CDN domain ${www}`, `DCDN domain ${api}`, `bucket ${bucket}`],
  )
})

t.test('a restore that failed in part is gone on with, and goes no further back', async (t) => {
  const site = await openSite(t)
  t.equal((await site.https(['enforce', name])).code, 0)
  const enforced = site.held()
  t.equal((await site.https(['relax', name])).code, 0)
  const fault = site.emulator.fail({ action: 'cdn:BatchSetCdnDomainConfig' }, { status: 403, code: 'Forbidden.RAM' })
  t.equal((await site.https(['restore', name])).code, 3)
  fault.remove()
  const again = await site.https(['restore', name, '--json'])
  t.equal(again.code, 0, again.stderr)
  t.same(
    placesIn(again)
      .map(({ place, status }) => `${place}: ${status}`)
      .sort(),
    [`CDN domain ${www}: changed`, `DCDN domain ${api}: unchanged`, `bucket ${bucket}: unchanged`],
  )
  t.same(site.held(), enforced)
})

t.test('disable takes the certificates of the domains that are named, and of no other', async (t) => {
  const site = await openSite(t)
  const { emulator } = site
  const other = 'other.example.com'
  const { fullchain, key } = material
  emulator.bindCname(other, bucket, { certificate: { fullchain, key } })
  const at = ['--region', region, '--bucket-endpoint', emulator.url]
  t.equal((await site.https(['enforce', '--oss-cname', `${bucket}/${host}`, ...at, '--no-check'])).code, 0)
  const bare = await site.https(['disable', '--bucket', bucket, ...at])
  t.equal(bare.code, 0, bare.stderr)
  t.match(bare.stderr, /no domain of bucket my-site is named/)
  t.ok(emulator.cname(host)?.certificate && emulator.cname(other)?.certificate, 'both have theirs')
  t.equal((await site.https(['disable', '--oss-cname', `${bucket}/${other}`, ...at])).code, 0)
  t.equal(emulator.cname(other)?.certificate, undefined)
  t.ok(emulator.cname(host)?.certificate, 'the other keeps its own')
  t.equal((await site.https(['restore', '--bucket', bucket, ...at])).code, 0)
  t.ok(emulator.cname(other)?.certificate, 'it is back')
})

t.test('an emergency needs no state, and what cannot be made out stops nothing else', async (t) => {
  const site = await openSite(t)
  const { emulator } = site
  t.equal((await site.https(['enforce', name])).code, 0)
  const places = `[{ cdn: { domain: auto, cdn-endpoint: '${emulator.url}' } }, { dcdn: { domain: ${api}, dcdn-endpoint: '${emulator.url}' } }, { oss-cname: { bucket: ${bucket}, region: ${region}, domain: auto, endpoint: '${emulator.url}' } }]`
  const config = site.file(
    'emergency.yaml',
    `certificates:\n  example.com:\n    domains: ['*.example.com']\n    deploy: ${places}\n`,
  )
  const deny = ['cdn:DescribeUserDomains', 'oss:ListCname'].map((action) => ({ action, resource: '*' }))
  emulator.addKey({ ...site.key, deny })
  const environment = { ACME_OSS_STATE_DIR: config }
  const run = await site.call(['https', 'relax', name, '--config', config, '--json'], { environment })
  t.equal(run.code, 3, run.stderr)
  t.same(
    placesIn(run)
      .map(({ place, status }) => `${place}: ${status}`)
      .sort(),
    [`DCDN domain ${api}: changed`, `bucket ${bucket}: changed`, 'cdn auto: failed'],
  )
  t.match(run.stderr, /warning: .*what stood at bucket my-site is not saved/)
  t.same(
    (await site.visits()).map((one) => one === 200),
    [true, false, true],
  )
})

t.test('the command itself, with the roots of browsers', async (t) => {
  const site = await openSite(t)
  const words = ['--cdn-domain', www, '--cdn-endpoint', site.emulator.url, ...dialling(site.edge)]
  const run = await site.run([
    'https',
    'enforce',
    ...words,
    '--hsts-max-age',
    '31536000',
    '--hsts-include-subdomains',
    '--gzip',
    '--brotli',
    '--redirect',
    '308',
  ])
  t.equal(run.code, 0, run.stderr)
  t.match(
    run.stdout,
    /✓ CDN domain www\.example\.com: changed\n.*HTTPS on; plain HTTP redirected \(308\); TLS 1\.2, 1\.3; HSTS 31536000 s, with subdomains; HTTP\/2 on; gzip on; Brotli on/,
  )
  t.notMatch(run.stderr, /do not know/, 'the root is known')
  t.match(await site.visits(), [200, /^308/, /^308/])
})

t.test('what makes no sense is refused, and nothing touched', async (t) => {
  const site = await openSite(t)
  const from = site.emulator.requests.length
  for (const [words, message] of [
    [['enforce'], /was not told where/],
    [['relax'], /was not told where/],
    [['push', name], /does not know "push"/],
    [['enforce', 'exmaple.com'], /nothing is known of where the certificate exmaple\.com goes/],
    [['enforce', name, '--cdn-domain', www], /places are named, and certificates as well/],
    [['enforce', name, '--tls-versions', '1.0,1.1'], /lock today's clients out/],
    [['enforce', name, '--tls-versions', '1.4'], /does not know TLS "1\.4"/],
    [['enforce', name, '--redirect', '302'], /cannot be "302"/],
    [['enforce', name, '--hsts-max-age', '0'], /whole number from 1/],
    [['enforce', name, '--hsts-preload'], /a year and all subdomains/],
    [['enforce', name, '--no-hsts', '--hsts-max-age', '60'], /--no-hsts leaves HSTS as it is/],
    [['relax', name, '--gzip'], /--gzip is for acme-oss https enforce/],
    [['enforce', name, '--live'], /--live is for acme-oss https status/],
    [['enforce', name, '--force'], /--force is for acme-oss https restore/],
    [['relax', '--cdn-domain', 'a\u001b[31m'], /is not a domain/],
    [['enforce', '--cdn-domain', 'auto'], /does not say of which certificate/],
  ] as const) {
    const run = await site.https(words)
    t.equal(run.code, 2, words.join(' '))
    t.match(run.stderr, message)
    t.match(run.stderr, /what to do: /)
  }
  t.same(changesIn(site.emulator.requests.slice(from)), [])
})

void proveSilence(t)
