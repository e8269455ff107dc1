// Nobody else may read what lies in the bucket: what is public already is found with --verify, and a key that would
// become so is not written.
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import {
  bucket,
  bucketHost,
  prefix,
  proveSilence,
  provesLayout,
  resultOf,
  stepError,
  stepsIn,
} from '../deploy-world.js'
import type { Edge } from '../emulator/edge/edge.js'
import { cloudDown, ends, pendingOf, provesSettled, resultsOf, statusOf, sync } from '../sync/hook-call.js'
import { dialling, mintWildcard, openLines, openServedWorld, type ServedWorld, stageLines } from './served-world.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const host = 'static.example.com'
const www = 'www.example.com'
const layout = `oss ${bucket}/${prefix}`
const material = await mintWildcard()

type Options = Parameters<typeof openServedWorld>[1]

const open = async (t: Test, options: Options = {}): Promise<[ServedWorld, Edge]> => {
  const world = await openServedWorld(t, options)
  world.emulator.bindCname(host, bucket)
  return [world, await world.emulator.startEdge()]
}

const looking = (edge: Edge): string[] => ['--verify', '--verify-timeout', '5', ...dialling(edge)]

/** What was asked for by nobody, and by which host. */
const anonymous = ({ emulator }: ServedWorld): string[] =>
  emulator.requests
    .filter(({ accessKeyId }) => accessKeyId === undefined)
    .map(({ method, host: at, key, answer }) => `${method} ${at.replace(/:\d+$/, '')} ${key} ${answer?.status}`)
    .sort()

t.test('a private bucket: strangers are refused everywhere', together(), async (t) => {
  const [world, edge] = await open(t)
  world.emulator.addCdnDomain(www, { origin: bucket })
  const words = [...world.withLayout, '--oss-cname', host, '--cdn-domain', www, ...looking(edge)]
  const run = await world.deploy(material, [...words, '--json'])
  ends(t, run, 0)
  t.match(resultOf(run).stages[0]?.steps.at(-1), { id: 'private', status: 'unchanged', note: 'strangers are refused' })
  const asked = `${prefix}latest/README.md`
  t.same(
    anonymous(world),
    [`GET ${bucketHost} ${asked} 403`, `GET ${host} ${asked} 403`, `GET ${www} ${asked} 403`].sort(),
    'the harmless file, through every door, and nothing else',
  )
})

t.test('a public bucket', together(), async (t) => {
  const [world, edge] = await open(t, { bucket: { acl: 'public-read' } })
  const words = [...world.withLayout, '--oss-cname', host, ...looking(edge)]
  const run = await world.deploy(material, [...words, '--json'])
  ends(t, run, 3)
  t.strictSame(stageLines(resultOf(run).stages), [
    `${layout} failed: archive changed, latest changed, private failed`,
    `oss-cname ${bucket}/${host} changed: bind changed, served unchanged`,
  ])
  const error = stepError(resultOf(run))
  t.equal(error.code, 'LAYOUT_IS_PUBLIC')
  t.match(error.message, `oss://${bucket}/${prefix}latest/ can be read by anybody through `)
  t.match(error.message, new RegExp(` ${host.replaceAll('.', '\\.')}(, |$)`), 'the bound domain')
  t.match(error.message, new URL(world.emulator.url).host, 'and the bucket by its own door')
  t.match(error.hint, /make the bucket private.*; then have the certificate issued anew with a new key/)
  t.notOk(
    anonymous(world).some((line) => line.includes('privkey')),
    'nobody asks for the key',
  )
  t.equal(world.objects.get(`${prefix}latest/privkey.pem`)?.acl, 'private', 'which had an access rule of its own')
  t.same(openLines(pendingOf(await statusOf(t, world))), [`${layout}: private LAYOUT_IS_PUBLIC`])

  const before = world.emulator.requests.length
  ends(t, await sync(world, ['--now', ...dialling(edge)]), 1)
  t.notOk(
    world.emulator.requests.slice(before).some(({ method }) => method === 'PUT'),
    'nothing is written again',
  )
  t.notOk(world.emulator.requests.slice(before).some(({ key = '' }) => key.includes('privkey')))
})

t.test('a CDN domain that fetches from the private bucket for anybody', together(), async (t) => {
  const [world, edge] = await open(t)
  const domain = world.emulator.addCdnDomain(www, { origin: bucket, privateOrigin: true })
  world.emulator.addCdnDomain('img.example.com', { origin: bucket })
  const words = [...world.withLayout, '--cdn-domain', 'img.example.com', '--cdn-domain', www, ...looking(edge)]
  const run = await world.deploy(material, [...words, '--json'])
  ends(t, run, 3)
  const error = stepError(resultOf(run))
  t.equal(error.code, 'LAYOUT_IS_PUBLIC')
  t.match(error.message, / can be read by anybody through www\.example\.com$/, 'that one alone')
  t.match(error.hint, /keep CDN from fetching this prefix from a private bucket/)

  domain.privateOrigin = false
  const mended = await sync(world, ['--now', '--json', ...dialling(edge)])
  ends(t, mended, 0)
  t.same(openLines(pendingOf(resultsOf(mended))), [])
  await provesSettled(t, world, material)
})

t.test('the same for a domain that auto finds', together(), async (t) => {
  const [world, edge] = await open(t)
  world.emulator.addCdnDomain(www, { origin: bucket, privateOrigin: true, https: true, certificate: material })
  // One that is never served over HTTPS is not waited for.
  world.emulator.addCdnDomain('old.example.com', { origin: bucket })
  const words = [...world.withLayout, '--cdn-domain', 'auto', ...looking(edge)]
  const run = await world.deploy(material, [...words, '--json'])
  ends(t, run, 3)
  t.match(stepError(resultOf(run)).message, / can be read by anybody through www\.example\.com$/)
})

t.test('a domain that is not served yet is no proof', together(), async (t) => {
  const world = await openServedWorld(t)
  world.emulator.addCdnDomain(www, { origin: bucket, privateOrigin: true })
  const edge = await world.emulator.startEdge({ delayMs: 1500 })
  const words = [...world.withLayout, '--cdn-domain', www, '--json']
  const run = await world.deploy(material, [...words, '--verify', '--verify-timeout', '30', ...dialling(edge)])
  ends(t, run, 3)
  t.match(stepError(resultOf(run)), { code: 'LAYOUT_IS_PUBLIC', message: / through www\.example\.com$/ })

  const late = await world.emulator.startEdge({ delayMs: 3_600_000 })
  late.serve(www, 'nothing')
  const briefly = ['--verify', '--verify-timeout', '0', ...dialling(late)]
  const unknown = await world.deploy(material, [...words, ...briefly])
  ends(t, unknown, 3)
  t.same(resultOf(unknown).warnings, [
    `${www} does not answer, so it is not known whether strangers can read oss://${bucket}/${prefix}latest/ through it`,
  ])
})

t.test('a site that shows its start page whatever is asked', together(), async (t) => {
  const [world, edge] = await open(t)
  world.emulator.addCdnDomain(www, { origin: bucket })
  const asked: string[] = []
  const site = createServer({ cert: material.fullchain, key: material.key }, (request, response) => {
    asked.push(request.url ?? '')
    response.end('<!doctype html><title>Welcome</title>')
  })
  site.listen(0, '127.0.0.1')
  await once(site, 'listening')
  t.teardown(() => site.close())
  const { port } = site.address() as AddressInfo
  const words = [...world.withLayout, '--cdn-domain', www, ...looking(edge), '--connect', `${www}=127.0.0.1:${port}`]
  const run = await world.deploy(material, words)
  ends(t, run, 0)
  t.same(asked, [`/${prefix}latest/README.md`])
  await provesSettled(t, world, material)
})

// --- the key that has no access rule of its own ---

const noAcl: Options = {
  key: { deny: [{ action: 'oss:PutObjectAcl', resource: '*' }] },
}

const provesNoKey = (t: Test, { objects }: ServedWorld): void =>
  void t.same(
    [...objects.keys()].filter((key) => key.endsWith('privkey.pem')),
    [],
    'the key is not in the bucket',
  )

for (const [what, words, by] of [
  ['a bound domain', ['--oss-cname', host], `oss-cname ${bucket}/${host}`],
  ['every bound domain', ['--oss-cname', 'auto'], `oss-cname ${bucket}/auto`],
  ['CDN', ['--cdn-domain', www], `cdn ${www}`],
  ['DCDN', ['--dcdn-domain', 'api.example.com'], 'dcdn api.example.com'],
  ['a wildcard domain of CDN', ['--cdn-domain', '*.example.com'], 'cdn .example.com'],
] as const) {
  t.test(`the key is not written where ${what} of the same run serves the bucket`, together(), async (t) => {
    const [world] = await open(t, noAcl)
    for (const name of [www, '.example.com']) world.emulator.addCdnDomain(name, { origin: bucket })
    world.emulator.addDcdnDomain('api.example.com', { origin: bucket })
    const run = await world.deploy(material, [...world.withLayout, ...words, '--json'])
    ends(t, run, 3)
    const error = stepError(resultOf(run))
    t.equal(error.code, 'KEY_WOULD_BE_PUBLIC')
    t.equal(error.message, `${by} serves the objects of oss://${bucket}, and the private key was not written to it`)
    t.match(error.hint, /grant oss:PutObjectAcl.*--allow-public-bucket writes it all the same/)
    provesNoKey(t, world)

    // The layout alone is open now: what else serves the bucket is known all the same.
    t.match(stepsIn(world.state), /archive failed, latest pending/)
    const later = await sync(world, ['--now', '--json'])
    ends(t, later, 1)
    t.same(openLines(pendingOf(resultsOf(later))), [`${layout}: archive KEY_WOULD_BE_PUBLIC`, `${layout}: latest`])
    provesNoKey(t, world)

    const allowed = await world.deploy(material, [...world.withLayout, ...words, '--allow-public-bucket', '--json'])
    ends(t, allowed, 0)
    provesLayout(t, world.objects, material)
    await provesSettled(t, world, material)
  })
}

t.test('written where nothing of the run serves the bucket', together(), async (t) => {
  const [world] = await open(t, noAcl)
  world.emulator.addBucket('another')
  world.emulator.addCdnDomain(www, { origin: 'another' })
  world.emulator.bindCname('img.example.com', 'another')
  const words = [...world.withLayout, '--cdn-domain', www, '--oss-cname', 'another/img.example.com', '--json']
  const run = await world.deploy(material, words)
  ends(t, run, 0)
  provesLayout(t, world.objects, material)
})

t.test('with the right, the key is protected by itself', together(), async (t) => {
  const [world] = await open(t)
  world.emulator.addCdnDomain(www, { origin: bucket })
  ends(t, await world.deploy(material, [...world.withLayout, '--oss-cname', host, '--cdn-domain', www]), 0)
  for (const folder of [material.archive, 'latest']) {
    t.equal(world.objects.get(`${prefix}${folder}/privkey.pem`)?.acl, 'private')
  }
})

t.test('later, when only the layout is open', together(), async (t) => {
  const [world] = await open(t, noAcl)
  world.emulator.addCdnDomain(www, { origin: bucket })
  const down = world.emulator.fail(
    { action: 'oss:PutObject' },
    { status: 503, code: 'ServiceUnavailable', headers: { 'Retry-After': '3600' } },
  )
  const run = await world.deploy(material, [...world.withLayout, '--cdn-domain', www, '--json'])
  ends(t, run, 3)
  t.equal(stepError(resultOf(run)).code, 'CLOUD_UNAVAILABLE')
  down.remove()
  const later = await sync(world, ['--now', '--json'])
  ends(t, later, 1)
  t.match(pendingOf(resultsOf(later))[0], { target: layout, error: { code: 'KEY_WOULD_BE_PUBLIC' } })
  provesNoKey(t, world)
  const all = cloudDown(world)
  ends(t, await sync(world), 1)
  all.remove()
  provesNoKey(t, world)
})

const unseeing = { deny: [{ action: 'cdn:DescribeCdnDomainDetail', resource: '*' }] }

t.test('a domain of which nobody may say what it fetches is asked itself', together(), async (t) => {
  const [world, edge] = await open(t, { key: unseeing })
  world.emulator.addCdnDomain(www, { origin: bucket, privateOrigin: true })
  const run = await world.deploy(material, [...world.withLayout, '--cdn-domain', www, ...looking(edge), '--json'])
  ends(t, run, 3)
  t.match(stepError(resultOf(run)), { code: 'LAYOUT_IS_PUBLIC', message: new RegExp(`through ${www}$`) })
})

t.test('a stranger does not mind a certificate of a CA that nobody knows', together(), async (t) => {
  const [world, edge] = await open(t)
  world.emulator.addCdnDomain(www, { origin: bucket, privateOrigin: true })
  const words = [...world.withLayout, '--cdn-domain', www, ...looking(edge), '--json']
  const run = await world.deploy(material, words, { environment: { NODE_EXTRA_CA_CERTS: undefined } })
  ends(t, run, 3)
  t.match(stepError(resultOf(run)), { code: 'LAYOUT_IS_PUBLIC', message: new RegExp(`through ${www}$`) })
})

t.test(
  'where it may not be looked up what a domain fetches, the key is written with a warning',
  together(),
  async (t) => {
    const deny = [...(noAcl.key?.deny ?? []), ...unseeing.deny]
    const [world] = await open(t, { ...noAcl, key: { ...noAcl.key, deny } })
    world.emulator.addCdnDomain(www, { origin: bucket })
    const run = await world.deploy(material, [...world.withLayout, '--cdn-domain', www, '--json'])
    ends(t, run, 0)
    t.match(
      resultOf(run).warnings.join('\n'),
      new RegExp(`whether cdn ${www} serves the objects of oss://${bucket} may not be looked up`),
    )
  },
)

t.test('what could not be looked up for now is no answer', together(), async (t) => {
  const [world] = await open(t, noAcl)
  world.emulator.addCdnDomain(www, { origin: bucket })
  const down = world.emulator.fail({ action: 'cdn:DescribeCdnDomainDetail' }, { status: 500, code: 'InternalError' })
  const words = [...world.withLayout, '--cdn-domain', www, '--timeout', '2', '--json']
  const run = await world.deploy(material, words)
  ends(t, run, 3)
  t.equal(stepError(resultOf(run)).code, 'CLOUD_UNAVAILABLE')
  provesNoKey(t, world)
  down.remove()
  const later = await sync(world, ['--now', '--json'])
  ends(t, later, 1)
  t.match(pendingOf(resultsOf(later))[0], { target: layout, error: { code: 'KEY_WOULD_BE_PUBLIC' } })
})

await proveSilence(t)
