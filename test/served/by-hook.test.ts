// A client's hook puts a certificate everywhere that variables name, which is all that some clients let one give.
import t from 'tap'
import {
  bucket,
  daysFromNow,
  mintMaterial,
  prefix,
  proveSilence,
  provesLayout,
  region,
  resultOf,
  type World,
} from '../deploy-world.js'
import { installCommand, installScript, runProgram } from '../hooks/hook-world.js'
import { callHook, ends, pendingOf, provesSettled, resultsOf, sync, writeLineage } from '../sync/hook-call.js'
import {
  changesIn,
  countOf,
  mintBefore,
  mintWildcard,
  openLines,
  openServedWorld,
  placeOf,
  type ServedWorld,
  stageLines,
} from './served-world.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const material = await mintWildcard()
const before = await mintBefore()

const furnish = async (world: ServedWorld) => {
  const { emulator } = world
  for (const name of ['static.example.com', 'img.example.com'])
    emulator.bindCname(name, bucket, { certificate: before })
  for (const name of ['www.example.com', '.example.com']) emulator.addCdnDomain(name, { certificate: before })
  emulator.addDcdnDomain('api.example.com', { certificate: before })
  return await emulator.startEdge({ delayMs: 300 })
}

const variables = ({ emulator: { url } }: World, connect: string): Record<string, string> => ({
  ACME_OSS_BUCKET: bucket,
  ACME_OSS_REGION: region,
  ACME_OSS_PREFIX: prefix,
  ACME_OSS_ENDPOINT: url,
  ACME_OSS_CDN_ENDPOINT: url,
  ACME_OSS_DCDN_ENDPOINT: url,
  ACME_OSS_CAS_ENDPOINT: url,
  ACME_OSS_OSS_CNAME: `static.example.com, ${bucket}/img.example.com`,
  ACME_OSS_CDN_DOMAIN: '*.example.com,www.example.com',
  ACME_OSS_DCDN_DOMAIN: 'auto',
  ACME_OSS_VIA_CAS: '1',
  ACME_OSS_CAS_PRUNE: 'yes',
  ACME_OSS_VERIFY: '1',
  ACME_OSS_VERIFY_TIMEOUT: '20',
  ACME_OSS_CONNECT: connect,
})

const lines = [
  `oss ${bucket}/${prefix} changed: archive changed, latest changed, private unchanged`,
  `oss-cname ${bucket}/static.example.com changed: bind changed, served unchanged`,
  `oss-cname ${bucket}/img.example.com changed: bind changed, served unchanged`,
  'cdn .example.com changed: bind changed, served unchanged',
  'cdn www.example.com changed: bind changed, served unchanged',
  'dcdn auto changed: find unchanged, bind api.example.com changed, served api.example.com unchanged',
  'cas changed: upload changed, prune unchanged',
]

t.test('by variables alone', together(), async (t) => {
  const world = await openServedWorld(t)
  const edge = await furnish(world)
  const environment = variables(world, placeOf(edge))
  const run = await callHook(world, material, { words: ['--json'], environment })
  ends(t, run, 0)
  t.strictSame(stageLines(resultOf(run).stages), lines)
  t.same(resultOf(run).warnings, [])
  t.equal(countOf(world.emulator.requests, 'yundun-cert:UploadUserCertificate'), 1, 'uploaded once')
  provesLayout(t, world.objects, material)
  await provesSettled(t, world, material)
  const from = world.emulator.requests.length
  ends(t, await callHook(world, material, { words: [], environment }), 0)
  t.same(changesIn(world.emulator.requests.slice(from)), [])

  const dry = await callHook(world, material, { words: ['--dry-run', '--json'], environment })
  ends(t, dry, 0)
  t.equal(stageLines(resultOf(dry).stages)[5], 'dcdn auto planned: find planned')
  t.match(resultOf(dry).stages[5]?.steps, [{ note: 'resolved when run' }])
})

t.test('pruning takes what is ours and has expired, and nothing else', together(), async (t) => {
  const world = await openServedWorld(t)
  const edge = await furnish(world)
  const expired = await mintMaterial({ notAfter: daysFromNow(-2) })
  const { cas } = world.emulator
  const stays = [
    cas.add({ ...before, name: 'acme-oss-in-force' }),
    cas.add({ ...expired, name: 'bought-by-somebody' }),
    cas.add({ ...expired, name: 'my-acme-oss-copy' }),
  ]
  const gone = [1, 2].map((i) => cas.add({ ...expired, name: `acme-oss-${i}` }))
  const run = await callHook(world, material, { words: ['--json'], environment: variables(world, placeOf(edge)) })
  ends(t, run, 0)
  t.match(resultOf(run).stages.at(-1), {
    status: 'changed',
    steps: [{ id: 'upload' }, { id: 'prune', status: 'changed', note: 'deleted 2' }],
  })
  for (const { id, name } of stays) t.ok(cas.find(id), `${name} stays`)
  for (const { id, name } of gone) t.notOk(cas.find(id), `${name} is gone`)
})

t.test('a flag replaces its variable, and a bad value keeps no certificate from being kept', together(), async (t) => {
  const world = await openServedWorld(t)
  const edge = await furnish(world)
  const environment = variables(world, placeOf(edge))
  const some = await callHook(world, material, {
    words: ['--json', '--cdn-domain', 'www.example.com', '--no-layout'],
    environment: { ...environment, ACME_OSS_OSS_CNAME: '', ACME_OSS_DCDN_DOMAIN: '', ACME_OSS_CAS_PRUNE: '' },
  })
  ends(t, some, 0)
  t.strictSame(stageLines(resultOf(some).stages), [lines[4], 'cas changed: upload changed'])

  const wrong = { ...environment, ACME_OSS_OSS_CNAME: '*.example.com' }
  const bad = await callHook(world, material, { words: ['--json'], environment: wrong })
  ends(t, bad, 1)
  t.match(resultOf(bad), {
    stages: [],
    pending: [{ target: null, step: null }],
    error: { code: 'USAGE', message: /\*\.example\.com cannot be bound to a bucket: OSS takes exact host names alone/ },
  })
  const mended = await sync(world, ['--now', '--json'], { environment })
  ends(t, mended, 0)
  t.same(openLines(pendingOf(resultsOf(mended))), [])
  provesLayout(t, world.objects, material)
  await provesSettled(t, world, material)
})

t.test("certbot's own script, with its variables in a file", together(), async (t) => {
  const world = await openServedWorld(t)
  const edge = await furnish(world)
  const { command, environmentFile } = installCommand(world)
  const all = {
    ...variables(world, placeOf(edge)),
    ALIBABA_CLOUD_ACCESS_KEY_ID: world.key.id,
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: world.key.secret,
    ALIBABA_CLOUD_ECS_METADATA_DISABLED: 'true',
    ACME_OSS_STATE_DIR: world.state,
    NODE_EXTRA_CA_CERTS: world.roots,
  }
  world.file(
    'env',
    Object.entries(all)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  )
  const script = installScript('certbot/acme-oss', world.path('hooks', 'acme-oss'), { command, environmentFile })
  const lineage = writeLineage(world, material)
  const ended = await runProgram(script, [], {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    RENEWED_LINEAGE: lineage,
    RENEWED_DOMAINS: 'example.com *.example.com',
  })
  t.equal(ended.code, 0, ended.stderr)
  t.match(ended.stdout, `is in place: oss ${bucket}/${prefix}, oss-cname ${bucket}/static.example.com, `)
  provesLayout(t, world.objects, material)
  await provesSettled(t, world, material)
})

await proveSilence(t)
