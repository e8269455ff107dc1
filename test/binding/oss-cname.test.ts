// A certificate on a domain that is bound to a bucket: when it is written, with which words, and when it is left alone.
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import t from 'tap'
import { bucket, daysFromNow, deploymentsIn, keepSecret, stepError, until } from '../deploy-world.js'
import { keyPem } from '../mint.js'
import {
  type BindingWorld,
  mint,
  only,
  openBinding,
  pair,
  proveNoKeyLeaks,
  readPut,
  sha256Of,
  stepsOf,
} from './binding-world.js'

const host = 'static.example.com'
const names = [host]
const older = await mint({ names, notBefore: daysFromNow(-40), notAfter: daysFromNow(50) })
const material = await mint({ names, notBefore: daysFromNow(-20), notAfter: daysFromNow(70) })
const newer = await mint({ names, notBefore: daysFromNow(-1), notAfter: daysFromNow(89) })

const toHost = (world: BindingWorld): string[] => ['--oss-cname', `${bucket}/${host}`, ...world.toBuckets]
const shown = (world: BindingWorld): string | undefined => world.emulator.cname(host)?.certificate?.sha256
const boundId = (world: BindingWorld): string | undefined => world.emulator.cname(host)?.certificate?.certId
const puts = (world: BindingWorld, from = 0) => world.asked('oss:PutCname', from).map(readPut)
const forced = { Domain: host, CertId: undefined, PreviousCertId: undefined, Force: 'true' }

/** The fingerprints of the list are of an algorithm that nobody knows. */
const listStrangely = ({ emulator }: BindingWorld): void =>
  emulator.listFingerprints((leaf) => createHash('md5').update(leaf.raw).digest('hex'))

t.test('a bound domain without a certificate', async (t) => {
  for (const kind of ['ec256', 'rsa2048'] as const) {
    const world = await openBinding(t)
    world.emulator.bindCname(host, bucket)
    const given = await mint({ names, key: kind })
    const { result, requests } = await world.give(t, given, toHost(world))
    t.match(result, {
      stages: only({
        target: `oss-cname ${bucket}/${host}`,
        status: 'changed',
        steps: only({ id: 'bind', note: null }),
      }),
      pending: only(),
      warnings: only(),
    })
    t.match(puts(world), only(forced))
    const traditional = keyPem(given.privateKey, kind === 'rsa2048' ? 'pkcs1' : 'sec1')
    t.ok(puts(world)[0]?.['PrivateKey'] === keepSecret(traditional), 'the key comes in its traditional encoding')
    t.ok(puts(world)[0]?.['Certificate'] === given.fullchain, 'leaf and chain')
    t.equal(shown(world), sha256Of(given))
    t.ok(requests.every(({ query }) => Object.keys(query).every((name) => ['cname', 'comp'].includes(name))))

    const again = await world.give(t, given, toHost(world))
    t.match(again.result.stages, only({ status: 'unchanged', steps: only({ note: 'already there' }) }))
    t.equal(puts(world).length, 1, 'nothing is sent for the second time')
  }
})

t.test('an older certificate is replaced, if it is the one that was seen', async (t) => {
  const world = await openBinding(t)
  world.emulator.bindCname(host, bucket, { certificate: pair(older) })
  const before = boundId(world)
  await world.give(t, material, toHost(world))
  t.match(puts(world), only({ Domain: host, PreviousCertId: before, Force: 'false' }))
  t.equal(shown(world), sha256Of(material))
  t.not(boundId(world), before)
})

t.test('what the bucket is called by --bucket', async (t) => {
  const world = await openBinding(t)
  world.emulator.bindCname(host, bucket)
  await world.give(t, material, ['--bucket', bucket, '--no-layout', '--oss-cname', host, ...world.toBuckets])
  t.equal(shown(world), sha256Of(material))
  t.equal(world.objects.size, 0, '--no-layout writes none')
})

t.test('the same certificate is known', async (t) => {
  t.test('by its recorded id, whatever algorithm the listed fingerprint is of', async (t) => {
    const world = await openBinding(t)
    listStrangely(world)
    world.emulator.bindCname(host, bucket)
    await world.give(t, material, toHost(world))
    const { result } = await world.give(t, material, toHost(world))
    t.match(result.stages, only({ status: 'unchanged', steps: only({ note: 'already there' }) }))
    t.equal(puts(world).length, 1)
    t.equal(world.edge.handshakes.length, 0, 'nothing needs to be dialled')
  })

  t.test('by its dates and a handshake, where nothing is on record', async (t) => {
    const world = await openBinding(t)
    listStrangely(world)
    world.emulator.bindCname(host, bucket)
    await world.give(t, material, toHost(world))
    rmSync(world.state, { recursive: true })
    const { result } = await world.give(t, material, toHost(world))
    t.match(result.stages, only({ status: 'unchanged', steps: only({ note: 'already there' }) }))
    t.equal(puts(world).length, 1)
    t.match(world.edge.handshakes, only({ host, sha256: sha256Of(material) }))
  })

  t.test('by its SHA-256 as well', async (t) => {
    const world = await openBinding(t)
    world.emulator.listFingerprints(({ fingerprint256 }) => fingerprint256)
    world.emulator.bindCname(host, bucket, { certificate: pair(material) })
    await world.give(t, material, toHost(world))
    t.equal(puts(world).length, 0)
  })
})

t.test('another certificate of the same dates is not taken for ours', async (t) => {
  const { notBefore, notAfter } = material
  const twin = await mint({ names, notBefore, notAfter })
  for (const listed of ['known', 'strange'] as const) {
    const world = await openBinding(t)
    if (listed === 'strange') listStrangely(world)
    world.emulator.bindCname(host, bucket, { certificate: pair(twin) })
    const { result } = await world.give(t, material, toHost(world))
    t.equal(result.stages[0]?.status, 'changed')
    t.equal(shown(world), sha256Of(material))
    // Whether it is ours, and whether it is trusted.
    const looks = [{ sha256: sha256Of(twin) }, { sha256: sha256Of(twin) }]
    t.match(world.edge.handshakes, only(...looks), 'it was looked at')
  }
  const world = await openBinding(t)
  listStrangely(world)
  world.emulator.bindCname(host, bucket, { certificate: pair(material) })
  world.edge.serve(host, 'nothing')
  const { result } = await world.give(t, material, toHost(world))
  t.equal(result.stages[0]?.status, 'changed', 'what cannot be looked at is written')
})

t.test('somebody else has bound another one under the recorded id', async (t) => {
  const world = await openBinding(t)
  listStrangely(world)
  world.emulator.bindCname(host, bucket)
  await world.give(t, material, toHost(world))
  world.emulator.bindCname(host, bucket, { certificate: pair(older) })
  await world.give(t, material, toHost(world))
  t.equal(shown(world), sha256Of(material), 'ours is bound again')
  t.equal(puts(world).length, 2)
})

t.test('an older one does not replace a newer one, unless it is told to', async (t) => {
  const world = await openBinding(t)
  world.emulator.bindCname(host, bucket, { certificate: pair(newer) })
  const { result } = await world.give(t, material, toHost(world))
  t.match(
    result.stages,
    only({ status: 'unchanged', steps: only({ note: /a newer certificate is there.*--allow-older/ }) }),
  )
  const [recorded] = deploymentsIn(world.state).flatMap(({ record }) => Object.values(record.targets))
  t.match(recorded?.steps['bind'], { status: 'done', standsBack: true }, 'no command is run for it')
  t.equal(puts(world).length, 0)
  t.equal(shown(world), sha256Of(newer))
  await world.give(t, material, [...toHost(world), '--allow-older'])
  t.equal(shown(world), sha256Of(material))
  const long = await mint({ names, notBefore: daysFromNow(-30), notAfter: daysFromNow(300) })
  await world.give(t, long, toHost(world))
  t.equal(shown(world), sha256Of(long), 'one that begins earlier and ends later is not older')
})

t.test('listing is not permitted', async (t) => {
  const world = await openBinding(t, { key: { deny: [{ action: 'oss:ListCname', resource: '*' }] } })
  world.emulator.bindCname(host, bucket, { certificate: pair(newer) })
  const { result } = await world.give(t, material, toHost(world))
  t.match(result.stages, only({ status: 'changed', steps: only({ note: /without looking.*not permitted/ }) }))
  t.match(puts(world), only(forced))
  t.equal(shown(world), sha256Of(material))
})

t.test('a conflict', async (t) => {
  const conflict = { status: 409, code: 'CasRenewCertificateConflict' } as const

  t.test(
    'over an id that has not changed: OSS does not know its own, and is told to replace whatever is there',
    async (t) => {
      const world = await openBinding(t)
      world.emulator.bindCname(host, bucket, { certificate: pair(older) })
      const before = boundId(world)
      world.emulator.fail({ action: 'oss:PutCname', nth: 1 }, conflict)
      await world.give(t, material, toHost(world))
      t.match(puts(world), only({ PreviousCertId: before, Force: 'false' }, forced))
      t.equal(shown(world), sha256Of(material))
    },
  )

  t.test('with somebody who binds a newer one meanwhile, which is left alone', async (t) => {
    const world = await openBinding(t)
    world.emulator.bindCname(host, bucket, { certificate: pair(older) })
    world.emulator.fail({ action: 'oss:PutCname', nth: 1 }, { delayMs: 700 })
    const giving = world.give(t, material, toHost(world))
    await until('the first PutCname', () => puts(world).length > 0)
    world.emulator.bindCname(host, bucket, { certificate: pair(newer) })
    const { result } = await giving
    t.match(result.stages, only({ status: 'unchanged', steps: only({ note: /a newer certificate is there/ }) }))
    t.equal(puts(world).length, 1)
    t.equal(world.asked('oss:PutCname')[0]?.answer?.code, conflict.code)
    t.equal(shown(world), sha256Of(newer))
  })

  t.test('with somebody who binds another old one meanwhile, which is replaced', async (t) => {
    const world = await openBinding(t)
    world.emulator.bindCname(host, bucket, { certificate: pair(older) })
    world.emulator.fail({ action: 'oss:PutCname', nth: 1 }, { delayMs: 700 })
    const giving = world.give(t, material, toHost(world))
    await until('the first PutCname', () => puts(world).length > 0)
    const other = await mint({ names, notBefore: daysFromNow(-41), notAfter: daysFromNow(49) })
    world.emulator.bindCname(host, bucket, { certificate: pair(other) })
    const otherId = boundId(world)
    await giving
    t.match(puts(world).at(-1), { PreviousCertId: otherId, Force: 'false' })
    t.equal(shown(world), sha256Of(material))
  })

  t.test('that does not end', async (t) => {
    const world = await openBinding(t)
    world.emulator.bindCname(host, bucket, { certificate: pair(older) })
    world.emulator.fail({ action: 'oss:PutCname' }, conflict)
    const { result } = await world.give(t, material, toHost(world), { code: 1 })
    t.match(stepError(result), { code: 'CLOUD_REFUSED', vendor: { code: conflict.code, requestId: /\w/ } })
    t.equal(puts(world).length, 2, 'nobody goes on for ever')
    t.equal(shown(world), sha256Of(older))
  })
})

t.test('the answer of PutCname is lost', async (t) => {
  const world = await openBinding(t)
  world.emulator.bindCname(host, bucket, { certificate: pair(older) })
  world.emulator.fail({ action: 'oss:PutCname', nth: 1 }, { reset: 'after' })
  const { result } = await world.give(t, material, toHost(world))
  t.same(stepsOf(result), ['bind unchanged'], 'the second look sees that it is there')
  t.equal(shown(world), sha256Of(material))
})

t.test('what OSS took and does not show is not taken for done', async (t) => {
  const world = await openBinding(t)
  world.emulator.bindCname(host, bucket, { certificate: pair(older) })
  world.emulator.fail({ action: 'oss:PutCname' }, { delayMs: 500 })
  const giving = world.give(t, material, [...toHost(world), '--timeout', '3'], { code: 1 })
  await until('PutCname', () => puts(world).length > 0)
  // What it lists from then on is what was there before.
  const list = world.emulator.fail({ action: 'oss:ListCname' }, { delayMs: 400 })
  await until('the look afterwards', () => list.hits > 0)
  world.emulator.bindCname(host, bucket, { certificate: pair(older) })
  const { result } = await giving
  t.match(stepError(result), { code: 'CLOUD_UNAVAILABLE', message: /does not show it/, hint: /acme-oss sync/ })
  await world.syncNow(t)
  t.equal(shown(world), sha256Of(material))
})

await proveNoKeyLeaks(t)
