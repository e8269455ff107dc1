// DNS of a domain leads somewhere else than to where its certificate was hosted: said at once, and with --verify the
// reason why it is not served.
import t from 'tap'
import { bucket, proveSilence, resultOf, stepError } from '../deploy-world.js'
import { serveNames, type Zone } from '../proof/name-server.js'
import { ends } from '../sync/hook-call.js'
import { dialling, mintBefore, mintWildcard, openServedWorld } from './served-world.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const host = 'www.example.com'
const toCdn: Zone = { [host]: { cname: `${host}.w.kunlunaq.com` } }
const toOss: Zone = { [host]: { cname: `${bucket}.oss-cn-hangzhou.aliyuncs.com` } }

const material = await mintWildcard()
const before = await mintBefore()

interface Case {
  readonly what: string
  readonly zone: Zone
  readonly words: readonly string[]
  readonly warnings: readonly string[]
}

const addCdn = `DNS of ${host} leads to CDN, so what is hosted on OSS is not seen there: add --cdn-domain ${host} (or --dcdn-domain, if it is a DCDN domain)`
const addOss = `DNS of ${host} leads to OSS, so what is hosted on CDN is not seen there: add --oss-cname ${host}, or point the CNAME of ${host} at CDN`

const cases: readonly Case[] = [
  { what: 'to CDN, hosted on OSS alone', zone: toCdn, words: ['--oss-cname', host], warnings: [addCdn] },
  { what: 'to CDN, every bound domain', zone: toCdn, words: ['--oss-cname', 'auto'], warnings: [addCdn] },
  { what: 'to OSS, hosted on CDN alone', zone: toOss, words: ['--cdn-domain', host], warnings: [addOss] },
  { what: 'to OSS, hosted on DCDN alone', zone: toOss, words: ['--dcdn-domain', host], warnings: [addOss] },
  { what: 'to CDN, hosted on both', zone: toCdn, words: ['--oss-cname', host, '--cdn-domain', host], warnings: [] },
  { what: 'to OSS, hosted on both', zone: toOss, words: ['--oss-cname', host, '--cdn-domain', host], warnings: [] },
  {
    what: 'to CDN, where the wildcard domain has it',
    zone: toCdn,
    words: ['--oss-cname', host, '--cdn-domain', '*.example.com'],
    warnings: [],
  },
  {
    what: 'to CDN, where auto finds it',
    zone: toCdn,
    words: ['--oss-cname', host, '--cdn-domain', 'auto'],
    warnings: [],
  },
  { what: 'to CDN, hosted on CDN', zone: toCdn, words: ['--cdn-domain', host], warnings: [] },
  { what: 'to OSS, hosted on OSS', zone: toOss, words: ['--oss-cname', host], warnings: [] },
  {
    what: 'to a CDN domain that is stopped',
    zone: {
      [host]: { cname: `${host}.w.kunlunaq.com` },
      [`${host}.w.kunlunaq.com`]: { cname: 'offline.specialcdnstatus.com' },
    },
    words: ['--cdn-domain', host],
    warnings: [
      `DNS of ${host} leads to CDN, where the domain is stopped: start ${host} again in the CDN console, or point its CNAME somewhere else`,
    ],
  },
  {
    what: 'somewhere that is not known',
    zone: { [host]: { cname: 'lb.example.net' } },
    words: ['--oss-cname', host],
    warnings: [],
  },
  { what: 'nowhere', zone: {}, words: ['--oss-cname', host], warnings: [] },
  { what: 'nobody answers', zone: { [host]: { trouble: 'silence' } }, words: ['--oss-cname', host], warnings: [] },
]

for (const { what, zone, words, warnings } of cases) {
  t.test(`it leads ${what}`, together(), async (t) => {
    const world = await openServedWorld(t)
    world.emulator.bindCname(host, bucket, { certificate: before })
    world.emulator.addCdnDomain(host, { certificate: before })
    world.emulator.addCdnDomain('.example.com', { certificate: before })
    world.emulator.addDcdnDomain(host, { certificate: before })
    const names = await serveNames(t, zone)
    const all = [...world.withoutLayout, ...words, '--dns-resolver', names.address]
    const run = await world.deploy(material, [...all, '--json'])
    ends(t, run, 0)
    // OSS alone does not tell what stood there, and where DNS leads elsewhere nobody else does.
    const said = resultOf(run).warnings.filter((one) => !/could not be found out$/.test(one))
    t.strictSame(said, warnings)
    t.ok(names.questions.includes(`CNAME ${host}`), 'the name server of the call was asked')
    for (const one of warnings) t.match(run.stderr, `warning: ${one}\n`)
    const again = await world.deploy(material, [...all, '--json'])
    t.strictSame(resultOf(again).warnings, warnings, 'as long as it is so, also when nothing is changed')
  })
}

t.test('with --verify it is why', together(), async (t) => {
  for (const [zone, words, hint] of [
    [toCdn, ['--oss-cname', host], addCdn],
    [toOss, ['--cdn-domain', host], addOss],
  ] as const) {
    const world = await openServedWorld(t)
    world.emulator.bindCname(host, bucket, { certificate: before })
    world.emulator.addCdnDomain(host, { certificate: before })
    const edge = await world.emulator.startEdge()
    edge.serve(host, before)
    const names = await serveNames(t, zone)
    const look = ['--verify', '--verify-timeout', '0', '--dns-resolver', names.address, ...dialling(edge)]
    const run = await world.deploy(material, [...world.withoutLayout, ...words, ...look, '--json'])
    ends(t, run, 1)
    const error = stepError(resultOf(run))
    t.equal(error.code, 'NOT_SERVED')
    t.equal(error.hint, hint)
    edge.serve(host, material)
    ends(t, await world.run(['sync', '--now', '--dns-resolver', names.address, ...dialling(edge)]), 0)
  }
})

await proveSilence(t)
