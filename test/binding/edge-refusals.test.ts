// What CDN and DCDN refuse, and what is said of it; one of several domains that fails.
import t from 'tap'
import { daysFromNow, everything, stepError } from '../deploy-world.js'
import {
  type BindingWorld,
  countOf,
  formOf,
  lineOf,
  mint,
  only,
  openBinding,
  pair,
  proveNoKeyLeaks,
  type SyncShape,
  sha256Of,
  stepsOf,
} from './binding-world.js'
import { products } from './edge-products.js'

const host = 'static.example.com'
const names = ['example.com', '*.example.com']
const older = await mint({ names, notBefore: daysFromNow(-40), notAfter: daysFromNow(50) })
const material = await mint({ names })
const requestId = /^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/

for (const product of products) {
  // What differs between the two is shown just as well without a process for each.
  const here = product.name === 'dcdn'
  const { flag, set, look, name, other } = product
  const upper = name.toUpperCase()
  const toDomain = (world: BindingWorld, ...domains: readonly string[]): string[] => [
    ...domains.flatMap((domain) => [flag, domain]),
    ...world.toEdges,
  ]
  const held = ({ emulator }: BindingWorld, domain = host): string | undefined =>
    product.store(emulator).domain(domain)?.certificate?.sha256
  const setFor = (world: BindingWorld, from = 0): string[] =>
    world.asked(set, from).map((request) => formOf(request)['DomainName'] ?? '')

  t.test(`${name}: a domain that is not there`, async (t) => {
    const world = await openBinding(t, { here })
    const { result } = await world.give(t, material, toDomain(world, host), { code: 1 })
    t.match(stepError(result), {
      code: 'CLOUD_REFUSED',
      message: new RegExp(`^looking at the certificate of the ${upper} domain ${host}: InvalidDomain\\.NotFound`),
      hint: new RegExp(`no such ${upper} domain.*${other.toUpperCase()} domain, use --${other}-domain$`),
      vendor: { code: 'InvalidDomain.NotFound', requestId },
    })
    t.equal(setFor(world).length, 0)
    product.add(world.emulator, host)
    await world.syncNow(t)
    t.equal(held(world), sha256Of(material), 'once it is added, sync does it')
  })

  t.test(`${name}: a domain that is stopped, or being checked`, async (t) => {
    for (const [status, code] of [
      ['offline', 'InvalidDomain.Offline'],
      ['checking', 'InvalidDomain.notOnline'],
    ] as const) {
      const world = await openBinding(t, { here })
      const domain = product.add(world.emulator, host, { status })
      const { result } = await world.give(t, material, toDomain(world, host), { code: 1 })
      t.match(stepError(result), { vendor: { code, requestId }, hint: /stopped or still being checked.*console/ })
      domain.status = 'online'
      await world.syncNow(t)
      t.equal(held(world), sha256Of(material))
    }
  })

  t.test(`${name}: a missing right`, async (t) => {
    const world = await openBinding(t, { here, key: { deny: [{ action: set, resource: '*' }] } })
    product.add(world.emulator, host, { certificate: pair(older) })
    const { result } = await world.give(t, material, toDomain(world, host), { code: 1 })
    t.match(stepError(result), {
      code: 'CLOUD_REFUSED',
      vendor: { code: 'Forbidden.RAM', requestId },
      hint: `grant the RAM user ${set} on acs:${name}:*:*:domain/${host} (RAM console, policy); acme-oss policy prints all that is needed`,
    })
    t.equal(setFor(world).length, 1, 'asked once')
    world.emulator.addKey({ ...world.key, allow: everything, deny: [] })
    await world.syncNow(t)
    t.equal(held(world), sha256Of(material))
  })

  t.test(`${name}: refusals that say what to do`, async (t) => {
    for (const [status, code, hint] of [
      [403, 'DomainInProtectedMode', /protected or safe mode/],
      [400, `${name === 'cdn' ? 'Cdn' : 'Dcdn'}ServiceNotFound`, /not activated.*console/],
      [404, 'InvalidAccessKeyId.NotFound', /ALIBABA_CLOUD_ACCESS_KEY_ID/],
      [400, 'InvalidTimeStamp.Expired', /clock of this machine/],
      [400, 'Something.Nobody.Knows', /troubleshoot\?q=Something\.Nobody\.Knows/],
    ] as const) {
      const world = await openBinding(t, { here })
      product.add(world.emulator, host, { certificate: pair(older) })
      world.emulator.fail({ action: set }, { status, code })
      const { result } = await world.give(t, material, toDomain(world, host), { code: 1 })
      t.match(stepError(result), { code: 'CLOUD_REFUSED', hint, vendor: { code, requestId } }, code)
      t.equal(setFor(world).length, 1)
    }
  })

  t.test(`${name}: a product that stays busy`, async (t) => {
    const world = await openBinding(t, { here })
    product.add(world.emulator, host, { certificate: pair(older) })
    const busy = world.emulator.fail({ action: set }, { status: 403, code: 'ServiceBusy' })
    const { result } = await world.give(t, material, [...toDomain(world, host), '--timeout', '3'], { code: 1 })
    t.match(stepError(result), {
      code: 'CLOUD_UNAVAILABLE',
      vendor: { code: 'ServiceBusy', requestId },
      hint: /may pass by itself/,
    })
    t.ok(busy.hits > 1, 'it was tried again in the time there was')
    const wait = Date.parse(result.pending[0]?.next ?? '') - Date.now()
    t.ok(wait < 120_000, 'and is tried again soon')
    busy.remove()
    await world.syncNow(t)
    t.equal(held(world), sha256Of(material))
  })

  t.test(`${name}: of two domains one fails`, async (t) => {
    const world = await openBinding(t, { here })
    const [good, bad] = ['good.example.com', 'bad.example.com'] as const
    for (const one of [good, bad]) product.add(world.emulator, one, { certificate: pair(older) })
    const fault = world.emulator.fail({ action: set, key: bad }, { status: 403, code: 'DomainInProtectedMode' })
    const { result, stderr } = await world.give(t, material, toDomain(world, bad, good), { code: 3 })
    t.match(result, {
      ok: false,
      error: null,
      stages: only({ target: `${name} ${bad}`, status: 'failed' }, { target: `${name} ${good}`, status: 'changed' }),
      pending: only({ target: `${name} ${bad}`, step: 'bind' }),
    })
    const refused = world.emulator.requests.find(({ answer }) => answer?.code === 'DomainInProtectedMode')
    t.ok(refused)
    const error = {
      code: 'CLOUD_REFUSED',
      message: new RegExp(bad.replaceAll('.', '\\.')),
      hint: /protected or safe mode/,
      vendor: { code: 'DomainInProtectedMode', requestId: refused?.requestId },
    }
    t.match(stepError(result), error)
    t.match(result.pending[0]?.error, error)
    t.equal(held(world, good), sha256Of(material), 'the other is done')
    t.equal(held(world, bad), sha256Of(older))
    t.match(stderr, new RegExp(`✗ ${name}: give it to the ${upper} domain ${bad}`))

    fault.remove()
    const from = world.emulator.requests.length
    const synced = await world.syncNow(t)
    t.match(synced.results, only({ stages: only({ target: `${name} ${bad}`, status: 'changed' }), pending: only() }))
    t.same(setFor(world, from), [bad])
    t.equal(held(world, bad), sha256Of(material))
  })

  t.test(`${name}: of five domains that auto found one fails`, async (t) => {
    const world = await openBinding(t, { here })
    const all = ['a', 'b', 'c', 'd', 'e'].map((one) => `${one}.example.com`)
    const bad = 'd.example.com'
    for (const one of all) product.add(world.emulator, one, { certificate: pair(older) })
    const fault = world.emulator.fail({ action: set, key: bad }, { status: 403, code: 'DomainInProtectedMode' })
    const { result, requests } = await world.give(t, material, toDomain(world, 'auto'), { code: 3 })
    t.same(
      stepsOf(result),
      ['find unchanged', ...all.map((one) => `bind ${one} ${one === bad ? 'failed' : 'changed'}`)].sort(),
    )
    t.match(result.stages, only({ target: `${name} auto`, status: 'failed' }))
    t.match(
      result.pending,
      only({ step: `bind ${bad}`, error: { vendor: { code: 'DomainInProtectedMode', requestId } } }),
    )
    t.equal(result.pending.length, 1)
    t.equal(countOf(requests, set), 5)
    for (const one of all) t.equal(held(world, one), sha256Of(one === bad ? older : material), one)

    const status = await world.run(['status', '--json'])
    t.equal(status.code, 1)
    t.match(
      lineOf<SyncShape>(status).results,
      only({
        stages: only({ target: `${name} auto`, status: 'failed' }),
        pending: only({
          target: `${name} auto`,
          step: `bind ${bad}`,
          error: { vendor: { code: 'DomainInProtectedMode' } },
        }),
      }),
    )
    const words = await world.run(['status'])
    t.match(words.stdout, new RegExp(`${name} auto: failed[\\s\\S]*it is in 4 of 5 places\\n +${bad}: another`))

    const failing = await world.syncNow(t, 1)
    t.same(stepsOf(failing.results[0] ?? { stages: [] }), [`bind ${bad} failed`])
    fault.remove()
    const from = world.emulator.requests.length
    const synced = await world.syncNow(t)
    t.same(stepsOf(synced.results[0] ?? { stages: [] }), [`bind ${bad} changed`])
    t.same(
      [...new Set(world.emulator.requests.slice(from).map(({ key }) => key))],
      [bad],
      'no other domain is touched, or looked at',
    )
    t.equal(held(world, bad), sha256Of(material))
    const well = await world.run(['status'])
    t.equal(well.code, 0, well.stdout)
    t.match(well.stdout, /it is in 5 of 5 places/)
  })

  t.test(`${name}: everything that auto found fails`, async (t) => {
    const world = await openBinding(t, { here })
    for (const one of ['a.example.com', 'b.example.com']) product.add(world.emulator, one, { certificate: pair(older) })
    world.emulator.fail({ action: set }, { status: 403, code: 'DomainInProtectedMode' })
    const { result } = await world.give(t, material, toDomain(world, 'auto'), { code: 1 })
    t.equal(result.pending.length, 2)
  })

  t.test(`${name}: a stage that fails keeps no other from going on`, async (t) => {
    const world = await openBinding(t, { here })
    product.add(world.emulator, host, { certificate: pair(older) })
    world.emulator.fail({ action: look }, { html: 502 })
    const words = [...toDomain(world, host), ...world.toBucket, '--timeout', '2']
    const { result } = await world.give(t, material, words, { code: 3 })
    t.match(result.stages, only({ status: 'changed' }, { status: 'failed' }))
    t.match(stepError(result), { code: 'CLOUD_UNAVAILABLE', vendor: { code: 'HTTP 502' } })
    t.equal(world.objects.size, 10)
  })
}

await proveNoKeyLeaks(t)
