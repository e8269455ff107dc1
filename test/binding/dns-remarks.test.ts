// A certificate is of no use on a product that DNS does not lead to: that is said, and nothing waits for it.
import t, { type Test } from 'tap'
import { bucket, type Material, resultOf } from '../deploy-world.js'
import { serveNames, type Zone } from '../proof/name-server.js'
import { type BindingWorld, mint, only, openBinding, proveNoKeyLeaks } from './binding-world.js'

const host = 'static.example.com'
const material = await mint({ names: [host, '*.example.com'] })

const atCdn: Zone = { [host]: { cname: `${host}.w.kunlunsl.com` }, [`${host}.w.kunlunsl.com`]: { a: ['192.0.2.1'] } }
const bucketName = `${bucket}.oss-cn-hangzhou.aliyuncs.com`
const atOss: Zone = { [host]: { cname: bucketName }, [bucketName]: { a: ['192.0.2.1'] } }

/** As `give`, with names that are resolved. */
const warnings = async (
  t: Test,
  world: BindingWorld,
  zone: Zone,
  words: readonly string[],
  { fullchain, key }: Material = material,
) => {
  const { address, questions } = await serveNames(t, zone)
  const run = await world.run(['deploy', '--fullchain', '-', '--json', '--dns-resolver', address, ...words], {
    input: fullchain + key,
  })
  t.equal(run.code, 0, run.code === 0 ? 'exit 0' : run.stderr)
  return { warnings: resultOf(run).warnings, questions }
}

const open = async (t: Test) => {
  const world = await openBinding(t)
  world.emulator.bindCname(host, bucket)
  world.emulator.addCdnDomain(host)
  world.emulator.addDcdnDomain(host)
  return world
}

const billed = /HTTPS requests are billed$/

t.test('DNS leads elsewhere', async (t) => {
  const world = await open(t)
  const toBucket = ['--oss-cname', `${bucket}/${host}`, ...world.toBuckets]
  const atOther = await warnings(t, world, atCdn, toBucket)
  t.match(atOther.warnings, only(/leads to CDN, so what is hosted on OSS is not seen there: add --cdn-domain static/))
  t.match(atOther.questions, [`CNAME ${host}`])
  const again = await warnings(t, world, atCdn, toBucket)
  t.equal(again.warnings.length, 1, 'also where nothing is to be done')
  for (const flag of ['--cdn-domain', '--dcdn-domain']) {
    const { warnings: said } = await warnings(t, world, atOss, [flag, host, ...world.toEdges])
    t.match(
      said,
      only(billed, /leads to OSS, so what is hosted on CDN is not seen there: add --oss-cname static/),
      flag,
    )
  }
})

t.test('DNS leads there, or nobody knows', async (t) => {
  for (const zone of [atOss, {}, { [host]: { trouble: 'servfail' } }, { [host]: { trouble: 'silence' } }] as const) {
    const world = await open(t)
    const { warnings: said } = await warnings(t, world, zone, ['--oss-cname', `${bucket}/${host}`, ...world.toBuckets])
    t.same(said, [], JSON.stringify(zone))
  }
  const world = await open(t)
  t.match((await warnings(t, world, atCdn, ['--cdn-domain', host, ...world.toEdges])).warnings, only(billed))
})

t.test('a wildcard domain has no host of its own to ask about', async (t) => {
  const world = await open(t)
  world.emulator.addCdnDomain('.example.com')
  const said = await warnings(t, world, atOss, ['--cdn-domain', '*.example.com', ...world.toEdges])
  t.match(said.warnings, only(billed))
  t.same(said.questions, [])
})

await proveNoKeyLeaks(t)
