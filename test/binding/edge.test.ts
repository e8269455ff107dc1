// A certificate on one domain of CDN or DCDN: when it is written, how, and when it is left alone.
import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { daysFromNow, deploymentsIn, keepSecret, stepError, until } from '../deploy-world.js'
import { keyPem } from '../mint.js'
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
import { type EdgeProduct, products } from './edge-products.js'

const host = 'static.example.com'
const names = [host, '*.example.com']
const older = await mint({ names, notBefore: daysFromNow(-40), notAfter: daysFromNow(50) })
const material = await mint({ names, notBefore: daysFromNow(-20), notAfter: daysFromNow(70) })
const newer = await mint({ names, notBefore: daysFromNow(-1), notAfter: daysFromNow(89) })

for (const product of products) {
  // What differs between the two is shown just as well without a process for each.
  const here = product.name === 'dcdn'
  const { flag, set, look } = product
  const toDomain = (world: BindingWorld, domain = host): string[] => [flag, domain, ...world.toEdges]
  const held = ({ emulator }: BindingWorld, domain = host): string | undefined =>
    product.store(emulator).domain(domain)?.certificate?.sha256
  const sets = (world: BindingWorld, from = 0) => world.asked(set, from).map(formOf)

  t.test(`${product.name}: a domain with an older certificate`, async (t) => {
    for (const kind of ['ec256', 'rsa2048'] as const) {
      const world = await openBinding(t, { here })
      product.add(world.emulator, host, { certificate: pair(older) })
      const given = await mint({ names, key: kind })
      const { result } = await world.give(t, given, toDomain(world))
      t.match(result, {
        stages: only({ target: `${product.name} ${host}`, status: 'changed', steps: only({ id: 'bind', note: null }) }),
        pending: only(),
        warnings: only(),
      })
      const [form, ...more] = sets(world)
      t.match(form, { DomainName: host, SSLProtocol: 'on', CertType: 'upload' })
      t.ok(form?.['SSLPub'] === given.fullchain, 'leaf and chain')
      const traditional = keyPem(given.privateKey, kind === 'rsa2048' ? 'pkcs1' : 'sec1')
      t.match(traditional, kind === 'rsa2048' ? /BEGIN RSA PRIVATE KEY/ : /BEGIN EC PRIVATE KEY/)
      t.ok(form?.['SSLPri'] === keepSecret(traditional), 'the key comes in its traditional encoding')
      t.match(form?.['CertName'], /^acme-oss-static-example-com-[0-9a-f]{12}-[0-9a-f]{6}$/)
      t.ok(form?.['CertName']?.includes(sha256Of(given).slice(0, 12)), 'the name says which one it is')
      t.same(more, [])
      t.equal(held(world), sha256Of(given))

      const again = await world.give(t, given, toDomain(world))
      t.match(again.result.stages, only({ status: 'unchanged', steps: only({ note: 'already there' }) }))
      t.equal(countOf(again.requests, set), 0, 'nothing is sent for the second time')
      t.equal(countOf(again.requests, look), 1)
    }
  })

  t.test(`${product.name}: a wildcard domain, however it is spelled`, async (t) => {
    for (const spelled of ['*.example.com', '.example.com', '*.EXAMPLE.com']) {
      const world = await openBinding(t, { here })
      product.add(world.emulator, '.example.com', { certificate: pair(older) })
      const { result } = await world.give(t, material, toDomain(world, spelled))
      t.match(result.stages, only({ target: `${product.name} .example.com`, status: 'changed' }), spelled)
      t.equal(sets(world)[0]?.['DomainName'], '.example.com')
      t.equal(held(world, '.example.com'), sha256Of(material))
    }
    const world = await openBinding(t, { here })
    const single = await mint({ names: [host] })
    const { result, requests } = await world.give(t, single, toDomain(world, '*.example.com'), { code: 2 })
    t.match(result.error, { code: 'NAME_NOT_COVERED', message: /\*\.example\.com/ })
    t.equal(requests.length, 0)
  })

  t.test(`${product.name}: HTTPS that is off is switched on for a domain that was named`, async (t) => {
    const world = await openBinding(t, { here })
    const domain = product.add(world.emulator, host)
    t.equal(domain.https, false)
    const { result } = await world.give(t, material, toDomain(world))
    t.match(
      result.warnings,
      only(
        new RegExp(`^HTTPS of the ${product.name.toUpperCase()} domain ${host} was off.*HTTPS requests are billed$`),
      ),
    )
    t.equal(domain.https, true)
    t.equal(held(world), sha256Of(material))
    const again = await world.give(t, material, toDomain(world))
    t.same(again.result.warnings, [], 'it is said once')
  })

  t.test(`${product.name}: HTTPS off, with this very certificate put there before`, async (t) => {
    const world = await openBinding(t, { here })
    const domain = product.add(world.emulator, host, { certificate: pair(material), https: false })
    await world.give(t, material, toDomain(world))
    t.equal(domain.https, true, 'what is there and not shown is not done')
  })

  t.test(`${product.name}: an older one does not replace a newer one, unless it is told to`, async (t) => {
    const world = await openBinding(t, { here })
    product.add(world.emulator, host, { certificate: pair(newer) })
    const { result } = await world.give(t, material, toDomain(world))
    t.match(
      result.stages,
      only({ status: 'unchanged', steps: only({ note: /a newer certificate is there.*--allow-older/ }) }),
    )
    const [recorded] = deploymentsIn(world.state).flatMap(({ record }) => Object.values(record.targets))
    t.match(recorded?.steps['bind'], { status: 'done', standsBack: true }, 'no command is run for it')
    t.equal(sets(world).length, 0)
    await world.give(t, material, [...toDomain(world), '--allow-older'])
    t.equal(held(world), sha256Of(material))
    await world.give(t, newer, toDomain(world))
    t.equal(held(world), sha256Of(newer), 'and a newer one an older')
  })

  t.test(`${product.name}: one that is not for this domain is replaced, however new`, async (t) => {
    const world = await openBinding(t, { here })
    const validity = { notBefore: daysFromNow(-1), notAfter: daysFromNow(300) }
    const ofAnother = await mint({ names: ['shop.example.net'], ...validity })
    product.add(world.emulator, host, { certificate: pair(ofAnother) })
    const { result } = await world.give(t, material, toDomain(world))
    t.match(result.stages, only({ status: 'changed' }))
    t.equal(held(world), sha256Of(material))
  })

  t.test(`${product.name}: looking is not permitted`, async (t) => {
    const world = await openBinding(t, { here, key: { deny: [{ action: look, resource: '*' }] } })
    product.add(world.emulator, host, { certificate: pair(newer) })
    const { result, requests } = await world.give(t, material, toDomain(world))
    t.match(result.stages, only({ status: 'changed', steps: only({ note: /written without looking.*not permitted/ }) }))
    t.equal(countOf(requests, look), 1, 'it is not asked again what was denied')
    t.equal(held(world), sha256Of(material))
  })

  t.test(`${product.name}: a domain that is being configured, and throttling, are waited for`, async (t) => {
    const world = await openBinding(t, { here })
    const store = product.store(world.emulator)
    store.configuringMs = 60_000
    const domain = product.add(world.emulator, host, { certificate: pair(older) })
    // Somebody changed it a moment ago.
    domain.host(domain.certificate, store.configuringMs)
    world.emulator.fail({ action: look, nth: 1 }, { status: 400, code: 'Throttling.User' })
    const giving = world.give(t, material, toDomain(world))
    await until('two refusals', () => world.asked(set).length > 1)
    domain.status = 'online'
    const { requests } = await giving
    const codes = requests.filter(({ action }) => action === set).map(({ answer }) => answer?.code)
    t.ok(codes.length > 2 && codes.slice(0, -1).every((code) => code === 'ServiceBusy'), 'refused until it was ready')
    t.equal(codes.at(-1), undefined)
    t.ok(countOf(requests, look) >= 3, 'the look that was throttled came again')
    t.equal(held(world), sha256Of(material))
    const nonces = requests.map(({ headers }) => headers['x-acs-signature-nonce'])
    t.equal(new Set(nonces).size, nonces.length, 'each try was signed anew')
  })

  t.test(`${product.name}: what was taken is not shown at once`, async (t) => {
    const world = await openBinding(t, { here })
    product.add(world.emulator, host, { certificate: pair(older) })
    // The first look after it was set meets an answer that is cut off, the next a passing refusal.
    world.emulator.fail({ action: look, nth: 2 }, { cutBody: true })
    world.emulator.fail({ action: look, nth: 3 }, { status: 503, code: 'ServiceUnavailable' })
    const { result, requests } = await world.give(t, material, toDomain(world))
    t.same(stepsOf(result), ['bind changed'])
    t.equal(countOf(requests, set), 1)
    t.equal(countOf(requests, look), 4)
  })

  t.test(`${product.name}: the answer to an upload is lost`, async (t) => {
    const world = await openBinding(t, { here })
    product.add(world.emulator, host, { certificate: pair(older) })
    world.emulator.fail({ action: set, nth: 1 }, { reset: 'after' })
    await world.give(t, material, toDomain(world))
    t.equal(held(world), sha256Of(material))
    const given = new Set(sets(world).map((form) => form['CertName']))
    t.equal(given.size, 1, 'the same name, so that nothing is stored twice')
  })

  t.test(`${product.name}: every domain has a name of its own for the certificate`, async (t) => {
    const long = `${'a'.repeat(60)}.${'b'.repeat(60)}.example.com`
    const many = ['a.example.com', 'b.example.com', '.example.com', long]
    const world = await openBinding(t, { here })
    for (const one of many) product.add(world.emulator, one, { certificate: pair(older) })
    const given = await mint({ names: [long, '*.example.com'] })
    const { result } = await world.give(t, given, [...many.flatMap((one) => [flag, one]), ...world.toEdges])
    t.equal(stepsOf(result).filter((step) => step === 'bind changed').length, many.length)
    const called = sets(world).map((form) => form['CertName'] ?? '')
    t.equal(new Set(called).size, many.length)
    for (const one of called) t.match(one, /^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/, '64 characters at most')
  })

  t.test(`${product.name}: a name or a content that is taken`, async (t) => {
    await provesDuplicates(t, product)
  })
}

/** CDN keeps what was uploaded: by its name, and by what it is. */
async function provesDuplicates(t: Test, product: EdgeProduct): Promise<void> {
  const { set, flag } = product
  const codes = ['CertificateContent.Duplicated', 'Certificate.Duplicated', 'CertNameAlreadyExists']
  for (const code of codes) {
    t.comment(code)
    const free = await openBinding(t)
    product.add(free.emulator, host, { certificate: pair(older) })
    free.emulator.fail({ action: set, nth: 1 }, { status: 400, code })
    const { result } = await free.give(t, material, [flag, host, ...free.toEdges])
    t.same(stepsOf(result), ['bind changed'], 'not bound: it is sent under another name')
    const called = free.asked(set).map((request) => formOf(request)['CertName'] ?? '')
    t.equal(new Set(called).size, 2)
    for (const one of called) t.match(one, /^[A-Za-z0-9-]{1,64}$/)
    t.equal(product.store(free.emulator).domain(host)?.certificate?.sha256, sha256Of(material))

    const bound = await openBinding(t)
    const domain = product.add(bound.emulator, host, { certificate: pair(older) })
    // Somebody else was faster by the time it was asked.
    bound.emulator.fail({ action: set, nth: 1 }, { delayMs: 300 })
    bound.emulator.fail({ action: set, nth: 1 }, { status: 400, code })
    const giving = bound.give(t, material, [flag, host, ...bound.toEdges])
    const other = product.add(bound.emulator, 'other.example.com', { certificate: pair(material) })
    await until('the upload', () => bound.asked(set).length > 0)
    domain.host(other.certificate, 0)
    t.same(stepsOf((await giving).result), ['bind unchanged'], 'bound: that is what was wanted')
    t.equal(bound.asked(set).length, 1)
  }

  const kept = await openBinding(t)
  product.store(kept.emulator).refuseSameContent = true
  product.add(kept.emulator, host, { certificate: pair(older) })
  product.add(kept.emulator, 'other.example.com', { certificate: pair(material) })
  const { result } = await kept.give(t, material, [flag, host, ...kept.toEdges], { code: 1 })
  t.match(stepError(result), { vendor: { code: codes[0] }, hint: /under another name.*--via-cas/ })
  await kept.give(t, material, [flag, host, '--via-cas', ...kept.toEdges])
  t.equal(product.store(kept.emulator).domain(host)?.certificate?.sha256, sha256Of(material), 'and so it does')

  const taken = await openBinding(t)
  product.add(taken.emulator, host, { certificate: pair(older) })
  const sum = createHash('sha256').update(host).digest('hex').slice(0, 6)
  const name = `acme-oss-static-example-com-${sha256Of(material).slice(0, 12)}-${sum}`
  product.add(taken.emulator, 'x.example.net', { certificate: { ...pair(older), certName: name } })
  await taken.give(t, material, [flag, host, ...taken.toEdges])
  t.same(
    taken.asked(set).map((request) => formOf(request)['CertName']),
    [name, `${name}-2`],
    'another certificate had been given its name',
  )
  t.equal(product.store(taken.emulator).domain(host)?.certificate?.sha256, sha256Of(material))
}

await proveNoKeyLeaks(t)
