// Which domains of CDN and DCDN `auto` takes, and what it says of those it leaves.
import t from 'tap'
import { daysFromNow, stepError, until } from '../deploy-world.js'
import {
  type BindingWorld,
  countOf,
  formOf,
  mint,
  only,
  openBinding,
  pair,
  proveNoKeyLeaks,
  sha256Of,
  stepsOf,
} from './binding-world.js'
import { products } from './edge-products.js'

const names = ['example.com', '*.example.com', 'www.example.net']
const older = await mint({ names, notBefore: daysFromNow(-40), notAfter: daysFromNow(50) })
const material = await mint({ names })

for (const product of products) {
  // What differs between the two is shown just as well without a process for each.
  const here = product.name === 'dcdn'
  const { flag, set, list, name } = product
  const upper = name.toUpperCase()
  const toAll = (world: BindingWorld, ...more: readonly string[]): string[] => [flag, 'auto', ...world.toEdges, ...more]
  const setFor = (world: BindingWorld, from = 0): string[] =>
    world
      .asked(set, from)
      .map((request) => formOf(request)['DomainName'] ?? '')
      .sort()

  t.test(`${name}: online, with HTTPS, and covered`, async (t) => {
    const world = await openBinding(t, { here })
    const add = product.add.bind(undefined, world.emulator)
    const certificate = pair(older)
    const wanted = ['.example.com', 'example.com', 'www.example.com', 'www.example.net']
    for (const one of wanted) add(one, { certificate })
    // One label too many, no label at all, and a wildcard that no name of the certificate stands for.
    for (const one of ['a.b.example.com', 'example.net', '.b.example.com', '.example.net']) add(one, { certificate })
    for (const status of ['offline', 'checking', 'stopping', 'deleting'] as const)
      add(`${status}.example.com`, { certificate, status })
    add('plain.example.com')
    add('plain.example.net')
    const { result, requests } = await world.give(t, material, toAll(world))
    t.same(setFor(world), wanted)
    t.same(stepsOf(result), ['find unchanged', ...wanted.map((one) => `bind ${one} changed`)].sort())
    t.equal(result.stages[0]?.steps[0]?.note, 'found 4')
    t.match(
      result.warnings,
      only(
        new RegExp(
          `^${upper}: 1 of the domains.* has HTTPS off and was left alone \\(plain\\.example\\.com\\); --enable-https.*billed`,
        ),
      ),
    )
    t.equal(countOf(requests, list), 1)
    t.equal(product.store(world.emulator).domain('plain.example.com')?.https, false)

    const from = world.emulator.requests.length
    const enabled = await world.give(t, material, toAll(world, '--enable-https'))
    t.same(setFor(world, from), ['plain.example.com'], 'what is there already is left alone')
    t.match(
      enabled.result.warnings,
      only(/^HTTPS of the D?CDN domain plain\.example\.com was off and is on now.*billed$/),
    )
    t.equal(product.store(world.emulator).domain('plain.example.com')?.certificate?.sha256, sha256Of(material))
  })

  t.test(`${name}: a domain that was changed a moment ago is not left out`, async (t) => {
    const world = await openBinding(t, { here })
    product.store(world.emulator).configuringMs = 60_000
    const all = ['a.example.com', 'b.example.com']
    for (const one of all) product.add(world.emulator, one, { certificate: pair(older) })
    await world.give(t, material, toAll(world))
    const next = await mint({ names, notAfter: daysFromNow(95) })
    const from = world.emulator.requests.length
    const giving = world.give(t, next, toAll(world))
    await until('a refusal of each', () => new Set(setFor(world, from)).size === 2)
    for (const one of product.store(world.emulator).domains) one.status = 'online'
    const { result } = await giving
    t.same(stepsOf(result), [...all.map((one) => `bind ${one} changed`), 'find unchanged'])
    t.ok(world.asked(set, from).some(({ answer }) => answer?.code === 'ServiceBusy'))
    for (const one of all) t.equal(product.store(world.emulator).domain(one)?.certificate?.sha256, sha256Of(next))
  })

  t.test(`${name}: the other product's domains are none of its own`, async (t) => {
    const world = await openBinding(t, { here })
    const [one, two] = [
      world.emulator.addCdnDomain('a.example.com', { certificate: pair(older) }),
      world.emulator.addDcdnDomain('b.example.com', { certificate: pair(older) }),
    ]
    await world.give(t, material, toAll(world))
    const [taken, left] = name === 'cdn' ? [one, two] : [two, one]
    t.equal(taken.certificate?.sha256, sha256Of(material))
    t.equal(left.certificate?.sha256, sha256Of(older))
  })

  t.test(`${name}: no match`, async (t) => {
    for (const [domains, warning] of [
      [[], new RegExp(`^${name} auto: none of the 0 ${upper} domains that are online is covered`)],
      [['www.example.org', 'a.b.example.com'], new RegExp(`^${name} auto: none of the 2 ${upper} domains`)],
    ] as const) {
      const world = await openBinding(t, { here })
      for (const one of domains) product.add(world.emulator, one, { certificate: pair(older) })
      const { result } = await world.give(t, material, toAll(world))
      t.match(result, { ok: true, stages: only({ status: 'skipped', steps: only({ id: 'find', status: 'skipped' }) }) })
      t.match(result.warnings, only(warning))
      t.same(result.pending, [])
      t.same(setFor(world), [])
      t.match(await world.syncNow(t), { ok: true, results: only() })
    }
    const world = await openBinding(t, { here })
    for (const one of ['a', 'b', 'c', 'd']) product.add(world.emulator, `${one}.example.com`)
    const { result } = await world.give(t, material, toAll(world))
    t.match(
      result.warnings,
      only(
        new RegExp(
          `^${upper}: 4 of the domains.* have HTTPS off and were left alone \\(a\\.example\\.com, b\\.\\S+, c\\.\\S+\\)`,
        ),
      ),
    )
    t.equal(result.stages[0]?.status, 'skipped')
  })

  t.test(`${name}: more domains than one page holds`, async (t) => {
    const world = await openBinding(t, { here })
    for (let i = 0; i < 501; i++) product.add(world.emulator, `n${i}.example.org`)
    product.add(world.emulator, 'last.example.com', { certificate: pair(older) })
    const { result } = await world.give(t, material, toAll(world))
    t.same(setFor(world), ['last.example.com'])
    t.same(stepsOf(result), ['bind last.example.com changed', 'find unchanged'])
    t.match(
      world.asked(list).map(formOf),
      only({ PageNumber: '1', PageSize: '500' }, { PageNumber: '2', PageSize: '500' }),
    )
  })

  t.test(`${name}: listing is not permitted`, async (t) => {
    const world = await openBinding(t, { here, key: { deny: [{ action: list, resource: '*' }] } })
    product.add(world.emulator, 'www.example.com', { certificate: pair(older) })
    const { result } = await world.give(t, material, toAll(world), { code: 1 })
    t.match(stepError(result), {
      code: 'CLOUD_REFUSED',
      hint: new RegExp(`grant the RAM user ${list} on acs:${name}:\\*:\\*:\\*`),
      vendor: { code: 'Forbidden.RAM' },
    })
    t.match(result.pending, only({ step: 'find' }))
    world.emulator.addKey({ ...world.key, deny: [] })
    const synced = await world.syncNow(t)
    t.same(stepsOf(synced.results[0] ?? { stages: [] }), ['bind www.example.com changed', 'find unchanged'])
  })

  t.test(`${name}: with one of them named as well`, async (t) => {
    const world = await openBinding(t, { here })
    for (const one of ['a.example.com', 'b.example.com']) product.add(world.emulator, one, { certificate: pair(older) })
    await world.give(t, material, [flag, 'a.example.com', ...toAll(world)])
    for (const one of ['a.example.com', 'b.example.com'])
      t.equal(product.store(world.emulator).domain(one)?.certificate?.sha256, sha256Of(material))
  })
}

t.test('domains that are not found again are let go of', async (t) => {
  const world = await openBinding(t)
  const [www, img] = ['www', 'img'].map((one) =>
    world.emulator.addCdnDomain(`${one}.example.com`, { certificate: pair(older) }),
  )
  const words = ['--cdn-domain', 'auto', ...world.toEdges]
  await world.give(t, material, words)
  if (img === undefined || www === undefined) throw new Error('there are two')
  img.status = 'offline'
  img.host(undefined, 0)
  const before = await world.run(['status'])
  t.equal(before.code, 1, 'as long as nobody has looked for them')
  t.match(before.stdout, /img\.example\.com: no certificate is there/)
  const { result } = await world.give(t, material, words)
  t.same(stepsOf(result), ['bind www.example.com unchanged', 'find unchanged'])
  const status = await world.run(['status'])
  t.equal(status.code, 0, status.stdout)
  t.notMatch(status.stdout, /img/)

  www.status = 'offline'
  www.host(undefined, 0)
  await world.give(t, material, words)
  t.equal((await world.run(['status'])).code, 0, 'none is found any more')
  for (const one of [img, www]) one.status = 'online'
  const back = await world.give(t, material, [...words, '--enable-https'])
  t.same(stepsOf(back.result), ['bind img.example.com changed', 'bind www.example.com changed', 'find unchanged'])
  t.equal((await world.run(['status'])).code, 0)
})

t.test('status looks at every domain, however many wait for their turn', async (t) => {
  const world = await openBinding(t)
  for (let i = 0; i < 40; i++) world.emulator.addCdnDomain(`n${i}.example.com`, { certificate: pair(material) })
  await world.give(t, material, ['--cdn-domain', 'auto', ...world.toEdges])
  // In one second only some of them have theirs.
  const status = await world.run(['status', '--timeout', '1'])
  t.equal(status.code, 0)
  t.match(status.stdout, /it is in 40 of 40 places/)
})

t.test('--enable-https where there is nothing for it', async (t) => {
  const world = await openBinding(t)
  const { result } = await world.give(t, material, ['--enable-https', ...world.toBucket], { code: 2 })
  t.match(result.error, { code: 'USAGE', message: /--enable-https/, hint: /--cdn-domain auto/ })
})

await proveNoKeyLeaks(t)
