// The configuration file knows every target: what it leaves out it takes from its defaults, and what is wrong is shown
// where it stands.
import { existsSync } from 'node:fs'
import t from 'tap'
import { type CheckResult, openConfigWorld } from '../config/config-world.js'
import { bucket, prefix, proveSilence, provesLayout, type ResultShape, region, resultOf } from '../deploy-world.js'
import { callHook, ends, pendingOf, provesSettled, resultsOf, sync } from '../sync/hook-call.js'
import {
  changesIn,
  dialling,
  mintBefore,
  mintWildcard,
  openLines,
  openServedWorld,
  type ServedWorld,
  stageLines,
} from './served-world.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const material = await mintWildcard()
const before = await mintBefore()

const config = (url: string): string => `
defaults:
  oss: { bucket: ${bucket}, region: ${region}, bucket-endpoint: "${url}", endpoint: "${url}" }
  oss-cname: { via-cas: true, cas-endpoint: "${url}", verify: true }
  cdn: { cdn-endpoint: "${url}", via-cas: true, cas-endpoint: "${url}", verify: true }
  dcdn: { dcdn-endpoint: "${url}", enable-https: true }
certificates:
  example.com:
    domains: [example.com, '*.example.com']
    deploy:
      - oss: { prefix: ${prefix}, verify: true }
      - oss-cname: { domain: static.example.com }
      - cdn: { domain: auto }
      - cdn: { domain: '*.example.com', verify: false }
      - dcdn: { domain: auto }
      - cas: { cas-endpoint: "${url}", prune: true }
`

const furnish = async (world: ServedWorld) => {
  const { emulator } = world
  emulator.bindCname('static.example.com', bucket, { certificate: before })
  for (const name of ['www.example.com', 'img.example.com']) emulator.addCdnDomain(name, { certificate: before })
  emulator.addCdnDomain('off.example.com')
  emulator.addCdnDomain('.example.com', { certificate: before, status: 'online' })
  emulator.addCdnDomain('stopped.example.com', { certificate: before, status: 'offline' })
  emulator.addCdnDomain('shop.example.net', { certificate: before })
  emulator.addDcdnDomain('api.example.com')
  return await emulator.startEdge()
}

const lines = [
  'cas changed: upload changed, prune unchanged',
  'cdn .example.com: bind done',
  'cdn auto changed: find unchanged, bind .example.com done, served .example.com unchanged, bind img.example.com changed, served img.example.com unchanged, bind www.example.com changed, served www.example.com unchanged',
  'dcdn auto changed: find unchanged, bind api.example.com changed',
  `oss ${bucket}/${prefix} changed: archive changed, latest changed, private unchanged`,
  `oss-cname ${bucket}/static.example.com changed: bind changed, served unchanged`,
]

const placeOf = ({ id }: { readonly id: string }): string => id.replace(/^\w+ ?/, '')

/**
 * What auto finds is in no order, and of two targets with one domain either may come first. Steps of one place keep
 * theirs.
 */
const sorted = (stages: readonly ResultShape['stages'][number][]): string[] =>
  stageLines(
    stages.map((stage) => ({
      ...stage,
      steps: [...stage.steps].sort((a, b) => (placeOf(a) < placeOf(b) ? -1 : placeOf(a) > placeOf(b) ? 1 : 0)),
    })),
  )
    .map((line) =>
      line
        .replace(/^cdn \.example\.com (un)?changed: bind (un)?changed/, 'cdn .example.com: bind done')
        .replace(/bind \.example\.com (un)?changed/, 'bind .example.com done'),
    )
    .sort()

t.test('a hook, by the file alone', together(), async (t) => {
  const world = await openServedWorld(t)
  const edge = await furnish(world)
  const file = world.file('acme-oss.yaml', config(world.emulator.url))
  const words = ['--config', file, ...dialling(edge), '--json']
  const run = await callHook(world, material, { words })
  ends(t, run, 0)
  t.strictSame(sorted(resultOf(run).stages), lines)
  // CDN may answer for the bound domain by then, and OSS alone does not tell what stood there.
  const said = resultOf(run).warnings.filter((one) => !/^static\.example\.com: .*could not be found out$/.test(one))
  t.same(said.length, 2, 'HTTPS of one domain is off and stays so; of another it is on now, and billed')
  t.match(
    resultOf(run).warnings.find((one) => one.startsWith('CDN')),
    /1 of the domains .* has HTTPS off .*off\.example\.com.*--enable-https/,
  )
  t.match(
    resultOf(run).warnings.find((one) => one.includes('DCDN')),
    /api\.example\.com was off and is on now/,
  )
  provesLayout(t, world.objects, material)
  t.notOk(world.emulator.cdn.domain('off.example.com')?.https)
  t.equal(world.emulator.cdn.domain('stopped.example.com')?.certificate?.fullchain, before.fullchain)
  t.equal(world.emulator.cdn.domain('shop.example.net')?.certificate?.fullchain, before.fullchain)
  t.equal(world.emulator.cas.certificates.filter(({ name }) => name.startsWith('acme-oss-')).length, 1)
  await provesSettled(t, world, material)

  const from = world.emulator.requests.length
  const again = await callHook(world, material, { words })
  ends(t, again, 0)
  t.same(new Set(resultOf(again).stages.map(({ status }) => status)), new Set(['unchanged']))
  t.same(changesIn(world.emulator.requests.slice(from)), [])
})

t.test('recorded when the file was wrong, and done by sync when it is right', together(), async (t) => {
  const world = await openServedWorld(t)
  const edge = await furnish(world)
  const right = config(world.emulator.url)
  const file = world.file('acme-oss.yaml', right.replace('domain: static.example.com', 'domain: static.example.net'))
  const words = ['--config', file, ...dialling(edge), '--json']
  const run = await callHook(world, material, { words })
  ends(t, run, 1)
  t.match(resultOf(run).error, {
    code: 'NAME_NOT_COVERED',
    message: `oss-cname ${bucket}/static.example.net: the certificate does not cover static.example.net`,
  })
  world.file('acme-oss.yaml', right)
  const synced = await sync(world, ['--now', ...words])
  ends(t, synced, 0)
  t.same(openLines(pendingOf(resultsOf(synced))), [])
  provesLayout(t, world.objects, material)
  await provesSettled(t, world, material)
})

t.test('a dry run asks nobody', together(), async (t) => {
  const world = await openServedWorld(t)
  const file = world.file('acme-oss.yaml', config(world.emulator.url))
  const none = { ALIBABA_CLOUD_ACCESS_KEY_ID: undefined, ALIBABA_CLOUD_ACCESS_KEY_SECRET: undefined }
  const words = ['--name', 'example.com', '--config', file, '--dry-run']
  const run = await world.deploy(material, [...words, '--json'], { environment: none })
  ends(t, run, 0)
  t.strictSame(stageLines(resultOf(run).stages), [
    `oss ${bucket}/${prefix} planned: archive planned, latest planned, private planned`,
    `oss-cname ${bucket}/static.example.com planned: bind planned, served planned`,
    'cdn auto planned: find planned',
    'cdn .example.com planned: bind planned',
    'dcdn auto planned: find planned',
    'cas planned: upload planned, prune planned',
  ])
  t.same(
    resultOf(run).stages.flatMap(({ steps }) =>
      steps.flatMap(({ id, note }) => (note === null ? [] : [`${id}: ${note}`])),
    ),
    ['find: resolved when run', 'find: resolved when run'],
  )
  const text = await world.deploy(material, words, { environment: none, terse: true })
  t.match(text.stdout, 'cdn auto\n  1. find the CDN domains that the certificate covers (resolved when run)\n')
  t.match(text.stdout, `  2. see that static.example.com serves it\n`)
  t.same(world.emulator.requests, [])
  t.equal(world.emulator.connections, 0, 'not even a connection')
  t.notOk(existsSync(world.state), 'and nothing is written down')
})

t.test('config check', together(), async (t) => {
  const world = await openConfigWorld(t)
  const good = await world.check(config('http://127.0.0.1:1'))
  ends(t, good, 0)
  t.same(good.json.certificates?.[0]?.deploy, [
    `oss ${bucket}/${prefix}`,
    `oss-cname ${bucket}/static.example.com`,
    'cdn auto',
    'cdn .example.com',
    'dcdn auto',
    'cas',
  ])
  const wrong = (line: string): string => `certificates:\n  example.com:\n    deploy:\n      - ${line}\n`
  const cases: readonly [string, RegExp, RegExp][] = [
    ['oss-cname: { domain: static.example.com }', /:4: .*oss-cname needs a bucket/, /bucket/],
    [
      'oss-cname: { bucket: site, region: cn-hangzhou }',
      /:4: .*oss-cname needs a domain/,
      /add domain there, or below defaults/,
    ],
    ['oss-cname: { bucket: site, domain: a.example.com }', /the region of the bucket is not given/, /region/],
    [
      "oss-cname: { bucket: site, region: cn-hangzhou, domain: '*.example.com' }",
      /\*\.example\.com cannot be bound to a bucket/,
      /name each host/,
    ],
    ['cdn: { domian: auto }', /:4: .*cdn\.domian is not known here/, /did you mean domain\?/],
    ['cdn: {}', /:4: .*cdn needs a domain/, /add domain there, or below defaults/],
    ['cdn: { domain: "not a domain" }', /"not a domain" is not a domain/, /such as/],
    ['cdn: { domain: 192.0.2.7 }', /"192\.0\.2\.7" is not a domain/, /such as/],
    ['cdn: { domain: auto, via-cas: yes please }', /via-cas has to be true or false/, /\S/],
    ['cdn: { domain: auto, cdn-endpoint: "http://cdn.example.com" }', /would send private keys in the clear/, /https/],
    [
      'dcdn: { domain: auto, cdn-endpoint: "https://cdn.example.com" }',
      /dcdn\.cdn-endpoint is not known here/,
      /did you mean dcdn-endpoint/,
    ],
    ['cas: { prune: always }', /prune has to be true or false/, /\S/],
    ['cas: { purge: true }', /cas\.purge is not known here/, /known here: cas-endpoint, prune/],
    ['cdm: { domain: auto }', /deploy\.0\.cdm is not known here/, /did you mean cdn\?/],
  ]
  for (const [line, message, hint] of cases) {
    const checked: CheckResult = await world.check(wrong(line))
    ends(t, checked, 2)
    t.equal(checked.json.error?.code, 'CONFIG_INVALID', line)
    t.match(checked.json.error?.message, message, line)
    t.match(checked.json.error?.hint, hint, line)
  }
})

await proveSilence(t)
