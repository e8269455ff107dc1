// One run puts a certificate everywhere and proves by handshakes that it is served there; the next one changes nothing.
import t from 'tap'
import { bucket, mintMaterial, prefix, proveSilence, provesLayout, resultOf } from '../deploy-world.js'
import { hasIpv6 } from '../proof/tls-server.js'
import { ends, provesSettled } from '../sync/hook-call.js'
import {
  changesIn,
  countOf,
  dialling,
  mintBefore,
  mintWildcard,
  openServedWorld,
  recordLines,
  type ServedWorld,
  stageLines,
  wildcardNames,
} from './served-world.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const cnames = ['img.example.com', 'static.example.com']
const cdn = ['www.example.com', 'cdn.example.com', '*.example.com']
const dcdn = 'api.example.com'
// Of a wildcard, a host is looked at that nobody has.
const wildcardHost = 'acme-oss-check.example.com'
const hosts = [...cnames, 'www.example.com', 'cdn.example.com', wildcardHost, dcdn].sort()

const material = await mintWildcard()
const before = await mintBefore()

const furnish = (world: ServedWorld): void => {
  const { emulator } = world
  emulator.bindCname('static.example.com', bucket, { certificate: before })
  emulator.bindCname('img.example.com', bucket)
  emulator.addCdnDomain('www.example.com', { certificate: before, origin: bucket })
  emulator.addCdnDomain('cdn.example.com', { certificate: before })
  emulator.addCdnDomain('.example.com', { certificate: before })
  emulator.addDcdnDomain(dcdn, { certificate: before })
}

const everywhere = (world: ServedWorld): string[] => [
  ...world.withLayout,
  ...cnames.flatMap((one) => ['--oss-cname', one]),
  ...cdn.flatMap((one) => ['--cdn-domain', one]),
  ...['--dcdn-domain', dcdn, '--verify', '--verify-timeout', '30'],
]

const targets = [
  `oss ${bucket}/${prefix}`,
  ...cnames.map((one) => `oss-cname ${bucket}/${one}`),
  ...['cdn www.example.com', 'cdn cdn.example.com', 'cdn .example.com', `dcdn ${dcdn}`],
]

/** What is bound where, with the times of the changes. */
const boundIn = ({ emulator }: ServedWorld): unknown => [
  cnames.map((one) => emulator.cname(one)),
  [...emulator.cdn.domains, ...emulator.dcdn.domains].map(({ name, modified, certificate }) => [
    name,
    modified,
    certificate?.sha256,
  ]),
  [...emulator.objects(bucket)].map(([key, { lastModified, md5, versions }]) => [key, lastModified, md5, versions]),
]

for (const viaCas of [false, true]) {
  t.test(viaCas ? 'by the certificate service' : 'by hand-over', together(), async (t) => {
    const world = await openServedWorld(t)
    const { emulator } = world
    furnish(world)
    const edges = await Promise.all([
      emulator.startEdge({ delayMs: 1200 }),
      emulator.startEdge({ address: '127.0.0.2' }),
      ...(hasIpv6 ? [emulator.startEdge({ address: '::1', delayMs: 500 })] : []),
    ])
    const words = [...everywhere(world), ...dialling(...edges), ...(viaCas ? ['--via-cas'] : [])]
    const all = viaCas ? [...targets, 'cas'] : targets

    const run = await world.deploy(material, [...words, '--json'])
    ends(t, run, 0)
    const result = resultOf(run)
    t.match(result, { command: 'deploy', ok: true, pending: [], warnings: [], error: null })
    t.match(result.certificate, { names: wildcardNames, archive: material.archive })
    t.strictSame(
      stageLines(result.stages),
      all.map((target) => {
        if (target === 'cas') return 'cas changed: upload changed'
        return target.startsWith('oss ')
          ? `${target} changed: archive changed, latest changed, private unchanged`
          : `${target} changed: bind changed, served unchanged`
      }),
      'every stage, step and status',
    )
    const where = edges.map(({ address }) => address).join(', ')
    for (const { target, steps } of result.stages) {
      for (const { id, note, does, ms } of steps) {
        if (id === 'served') t.equal(note, `served by ${where}`, `${target} by every address`)
        t.ok(does !== '' && Number.isInteger(ms), `${target} ${id} says what it did, and how long it took`)
      }
    }
    for (const { handshakes, address } of edges) {
      const last = new Map(handshakes.map(({ host, sha256 }) => [host, sha256]))
      t.same(
        [...last.keys()].filter((host) => hosts.includes(host)).sort(),
        hosts,
        `${address} was looked at for every host`,
      )
      for (const host of hosts) t.equal(last.get(host), result.certificate?.['sha256'], `${host} at ${address}`)
    }
    t.ok(
      edges[0]?.handshakes.some(({ sha256 }) => sha256 !== result.certificate?.['sha256']),
      'the slow edge was waited for',
    )
    provesLayout(t, world.objects, material)
    t.equal(countOf(emulator.requests, 'oss:PutCname'), 2)
    t.equal(countOf(emulator.requests, 'cdn:SetCdnDomainSSLCertificate'), 3)
    t.equal(countOf(emulator.requests, 'dcdn:SetDcdnDomainSSLCertificate'), 1)
    t.equal(emulator.cas.certificates.filter(({ name }) => name.startsWith('acme-oss-')).length, viaCas ? 1 : 0)
    const uploads = emulator.requests.filter(({ action }) => action === 'yundun-cert:UploadUserCertificate')
    t.equal(uploads.length, viaCas ? 1 : 0, 'uploaded once, and nobody else tries')
    t.equal(changesIn(emulator.requests).length, viaCas ? 17 : 16, 'ten objects, six domains, nothing twice')
    await provesSettled(t, world, material)

    const standing = boundIn(world)
    const from = emulator.requests.length
    const again = await world.deploy(material, [...words, '--json'])
    ends(t, again, 0)
    t.strictSame(
      stageLines(resultOf(again).stages),
      all.map((target) => {
        if (target === 'cas') return 'cas unchanged: upload unchanged'
        return target.startsWith('oss ')
          ? `${target} unchanged: archive unchanged, latest unchanged, private unchanged`
          : `${target} unchanged: bind unchanged, served unchanged`
      }),
      'the second run changes nothing, and says so',
    )
    t.same(changesIn(emulator.requests.slice(from)), [], 'no request changed anything')
    t.same(boundIn(world), standing)
    await provesSettled(t, world, material)
    t.equal(recordLines(world).length, all.length)
    t.notMatch(recordLines(world).join(), /pending|failed/)

    // Into the log of a person: one line a step, with a mark.
    const terse = await world.deploy(material, words, { terse: true })
    ends(t, terse, 0)
    t.match(terse.stdout, `is in place: ${all.join(', ')}\n`)
    t.equal(terse.stderr.match(/^= /gm)?.length, viaCas ? 16 : 15, 'fifteen steps, each unchanged')
  })
}

t.test('a newer certificate takes the place of the first, in every place', together(), async (t) => {
  const world = await openServedWorld(t)
  const { emulator } = world
  furnish(world)
  const edge = await emulator.startEdge()
  const words = [...everywhere(world), ...dialling(edge), '--json']
  ends(t, await world.deploy(material, words), 0)
  const next = await mintMaterial({
    names: wildcardNames,
    notBefore: new Date(material.notBefore.getTime() + 60_000),
    notAfter: new Date(material.notAfter.getTime() + 86_400_000),
  })
  const run = await world.deploy(next, words)
  ends(t, run, 0)
  t.same(new Set(resultOf(run).stages.map(({ status }) => status)), new Set(['changed']))
  t.same(
    new Set([...emulator.cdn.domains, ...emulator.dcdn.domains].map(({ certificate }) => certificate?.sha256)),
    new Set([resultOf(run).certificate?.['sha256']]),
  )

  const from = emulator.requests.length
  const older = await world.deploy(material, words)
  ends(t, older, 0)
  t.match(
    resultOf(older).stages.map(({ steps }) => steps.find(({ id }) => id === 'bind' || id === 'latest')?.note),
    targets.map(() => /^a newer certificate is there/),
    'the older one replaces it nowhere',
  )
  t.same(changesIn(emulator.requests.slice(from)), [])
  t.match(
    resultOf(older).stages.flatMap(({ steps }) => steps.filter(({ id }) => id === 'served').map(({ note }) => note)),
    targets.slice(1).map(() => /^a newer one is served by/),
    'which is as good as served',
  )
  // What was wanted last, and is not there, is nothing to be alarmed by.
  ends(t, await world.run(['status']), 0)
})

await proveSilence(t)
