// The main job from end to end: a real CA issues, and the certificate goes into the layout, to OSS and to CDN, and is
// proven to be served.
import { writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import {
  bucket,
  isServable,
  openWorkplace,
  orderAt,
  prefix,
  standaloneFor,
  testOutput,
  type Workplace,
} from '../issue-command.js'
import { hasPebble, startPebble } from '../pebble.js'
import { runCommand } from '../run-command.js'
import { changesIn, dialling, openLines, stageLines } from './served-world.js'

const skip = hasPebble() ? false : 'pebble is not installed'

const names = ['example.com', 'static.example.com', 'www.example.com']

const cloudWords = ({ emulator: { url } }: Workplace): string[] => [
  ...['--cdn-endpoint', url, '--cas-endpoint', url, '--oss-cname', 'static.example.com'],
  ...['--cdn-domain', 'www.example.com', '--verify', '--json'],
]

const furnish = async (t: Test) => {
  const pebble = await startPebble()
  t.teardown(() => pebble.close())
  const place = await openWorkplace(t)
  place.emulator.bindCname('static.example.com', bucket)
  place.emulator.addCdnDomain('www.example.com', { origin: bucket })
  const edge = await place.emulator.startEdge({ delayMs: 700 })
  // The client trusts the CA that issues; the edges, in this process, know nothing of it.
  const roots = `${place.folder}/roots.pem`
  writeFileSync(roots, await pebble.rootPem())
  const order = [...orderAt(pebble, ...names), ...standaloneFor(pebble)]
  return { pebble, place, edge, order, environment: { NODE_EXTRA_CA_CERTS: roots } }
}

t.test('issued, put everywhere, and proven', { skip }, async (t) => {
  const { pebble, place, edge, order, environment } = await furnish(t)
  const words = [...order, ...place.toBucket, ...cloudWords(place), ...dialling(edge)]
  const dry = await place.run([...words, '--dry-run'], { environment })
  t.equal(dry.code, 0, dry.stderr)
  t.strictSame(stageLines(dry.json.stages as Parameters<typeof stageLines>[0]), [
    `oss ${bucket}/${prefix} planned: archive planned, latest planned, private planned`,
    `oss-cname ${bucket}/static.example.com planned: bind planned, served planned`,
    'cdn www.example.com planned: bind planned, served planned',
  ])
  t.equal(pebble.issued(), 0)
  t.same(place.emulator.requests, [], 'a dry run asks nobody')

  const run = await place.run(words, { environment })
  t.equal(run.code, 0, run.stderr)
  t.strictSame(stageLines(run.json.stages as Parameters<typeof stageLines>[0]), [
    `oss ${bucket}/${prefix} changed: archive changed, latest changed, private unchanged`,
    `oss-cname ${bucket}/static.example.com changed: bind changed, served unchanged`,
    'cdn www.example.com changed: bind changed, served unchanged',
  ])
  t.match(run.json, { ok: true, order: { placed: true }, pending: [], warnings: [] })
  await isServable(t, pebble, place, names)
  const sums = new Map(edge.handshakes.map(({ host, sha256 }) => [host, sha256]))
  for (const host of ['static.example.com', 'www.example.com']) {
    t.equal(sums.get(host), run.json.certificate?.sha256, `${host} serves it`)
  }
  t.equal(pebble.issued(), 1)

  const from = place.emulator.requests.length
  const again = await place.run(words, { environment })
  t.equal(again.code, 0, again.stderr)
  t.match(again.json, { order: { placed: false } })
  t.same(
    again.json.stages.map(({ status }) => status),
    ['unchanged', 'unchanged', 'unchanged'],
  )
  t.same(changesIn(place.emulator.requests.slice(from)), [])

  // A renewal takes the place of what stands there.
  const renewed = await place.run([...words, '--force-renewal'], { environment })
  t.equal(renewed.code, 0, renewed.stderr)
  t.not(renewed.json.certificate?.sha256, run.json.certificate?.sha256)
  t.equal(place.emulator.cdn.domain('www.example.com')?.certificate?.sha256, renewed.json.certificate?.sha256)
  t.equal(place.emulator.cname('static.example.com')?.certificate?.sha256, renewed.json.certificate?.sha256)
  t.equal(pebble.issued(), 2)
})

t.test('issued while the cloud is down: sync puts it there, and nothing is ordered again', { skip }, async (t) => {
  const { pebble, place, edge, order, environment } = await furnish(t)
  const down = place.emulator.fail({}, { status: 503, code: 'ServiceUnavailable', headers: { 'Retry-After': '3600' } })
  const look = dialling(edge)
  const run = await place.run([...order, ...place.toBucket, ...cloudWords(place), ...look], { environment })
  t.equal(run.code, 1)
  t.same(openLines(run.json.pending as Parameters<typeof openLines>[0]), [
    `oss ${bucket}/${prefix}: archive CLOUD_UNAVAILABLE`,
    `oss ${bucket}/${prefix}: latest`,
    `oss ${bucket}/${prefix}: private`,
    `oss-cname ${bucket}/static.example.com: bind CLOUD_UNAVAILABLE`,
    `oss-cname ${bucket}/static.example.com: served`,
    'cdn www.example.com: bind CLOUD_UNAVAILABLE',
    'cdn www.example.com: served',
  ])
  down.remove()
  const sync = await runCommand(['sync', '--now', '--state-dir', place.state, '--json', ...look], {
    environment: { ...place.environment, ...environment },
  })
  t.equal(sync.code, 0, sync.stdout + sync.stderr)
  t.match(JSON.parse(sync.stdout), { ok: true, results: [{ pending: [] }] })
  await isServable(t, pebble, place, names)
  t.equal(pebble.issued(), 1)
})

t.test('what was printed', { skip }, async (t) => testOutput(t))
