// What OSS refuses of a domain, and what is said of it; which domains auto takes.
import t from 'tap'
import { bucket, everything, resultOf, stepError } from '../deploy-world.js'
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
const material = await mint({ names: [host, '*.example.com'] })
const stranger = await mint({ names: ['www.example.net'] })

const toHost = (world: BindingWorld, domain = host): string[] => [
  '--oss-cname',
  `${bucket}/${domain}`,
  ...world.toBuckets,
]
const shown = (world: BindingWorld, domain = host): string | undefined =>
  world.emulator.cname(domain)?.certificate?.sha256

t.test('a domain that is not bound yet', async (t) => {
  t.test('the record that proves it is told, and once it is there sync goes on', async (t) => {
    const world = await openBinding(t)
    const { result } = await world.give(t, material, toHost(world), { code: 1 })
    const error = stepError(result)
    t.match(error, {
      code: 'CLOUD_REFUSED',
      message: /static\.example\.com is not bound to the bucket my-ssl-certs yet/,
      vendor: { code: 'NeedVerifyDomainOwnership', requestId: /^[0-9A-F]{24}$/ },
    })
    const [, name = '', value = ''] = /DNS record (\S+) of type TXT with the value (\S+)/.exec(error.hint ?? '') ?? []
    t.equal(name, `_dnsauth.${host}`)
    t.match(value, /^[0-9a-f]{32}$/)
    t.match(error.hint, /good until .* GMT.*acme-oss sync --now/)
    t.match(world.asked('oss:PutCname').map(readPut), only({ PreviousCertId: undefined, Force: 'true' }))

    const early = await world.syncNow(t, 1)
    t.match(
      early.results[0]?.stages[0]?.steps[0]?.error?.hint,
      new RegExp(value),
      'asked again, it is the same value: whoever has added it need not change it',
    )
    world.emulator.publishTxt(name, value)
    const late = await world.syncNow(t)
    t.match(
      late.results,
      only({
        stages: only({ steps: only({ status: 'changed', note: `bound to ${bucket} as well` }) }),
        pending: only(),
      }),
    )
    t.equal(shown(world), sha256Of(material))
  })

  t.test('whoever may not ask for the record is told where else to bind it', async (t) => {
    const world = await openBinding(t, { key: { deny: [{ action: 'oss:CreateCnameToken', resource: '*' }] } })
    const { result } = await world.give(t, material, toHost(world), { code: 1 })
    const { hint, vendor } = stepError(result)
    t.match(hint, /in the console.*oss:CreateCnameToken.*acme-oss sync --now/)
    t.notMatch(hint, /_dnsauth/)
    t.equal(vendor?.code, 'NeedVerifyDomainOwnership', 'the reason is the first refusal')
  })

  t.test('bound, and yet to be proven again', async (t) => {
    const world = await openBinding(t)
    world.emulator.bindCname(host, bucket)
    world.emulator.fail({ action: 'oss:PutCname' }, { status: 403, code: 'NeedVerifyDomainOwnership' })
    const { result } = await world.give(t, material, toHost(world), { code: 1 })
    t.match(stepError(result), { message: /is bound to my-ssl-certs, but OSS wants it proven again/, hint: /_dnsauth/ })
  })
})

t.test('a domain without an ICP filing', async (t) => {
  const world = await openBinding(t)
  world.emulator.withoutFiling(host)
  const { result } = await world.give(t, material, toHost(world), { code: 1 })
  t.match(stepError(result), {
    code: 'CLOUD_REFUSED',
    vendor: { code: 'NoSuchCnameInRecord' },
    hint: /ICP filing.*static\.example\.com.*another region/,
  })
})

t.test('a domain that another bucket has', async (t) => {
  const world = await openBinding(t)
  world.emulator.addBucket('other-bucket', {})
  world.emulator.bindCname(host, 'other-bucket', { certificate: pair(stranger) })
  const { result } = await world.give(t, material, toHost(world), { code: 1 })
  t.match(stepError(result), {
    vendor: { code: 'CnameAlreadyExists' },
    hint: `${host} is bound to another bucket: give that one (--oss-cname BUCKET/${host}), or take the domain away from it first`,
  })
  t.equal(shown(world), sha256Of(stranger))
  t.match(world.asked('oss:PutCname').length, 1, 'asked once')
})

t.test('the rights on certificates are missing', async (t) => {
  for (const action of [
    'yundun-cert:CreateSSLCertificate',
    'yundun-cert:DescribeSSLCertificatePrivateKey',
    'yundun-cert:DescribeSSLCertificatePublicKeyDetail',
    'oss:PutCname',
  ]) {
    const world = await openBinding(t, { here: true, key: { deny: [{ action, resource: '*' }] } })
    world.emulator.bindCname(host, bucket)
    const { result } = await world.give(t, material, toHost(world), { code: 1 })
    const { vendor, hint } = stepError(result)
    t.equal(vendor?.code, 'AccessDenied', action)
    t.ok(hint?.includes(action), 'the hint names it')
    t.match(hint, /can read the private key of every certificate in the account/, 'and what granting it means')
    world.emulator.addKey({ ...world.key, allow: everything, deny: [] })
    await world.syncNow(t)
    t.equal(shown(world), sha256Of(material), 'once granted, sync does it')
  }
})

t.test('refusals that say what to do', async (t) => {
  for (const [status, code, hint] of [
    [400, 'CertificateInvalidCasId', /--cas-endpoint https:\/\/cas\.ap-southeast-1\.aliyuncs\.com/],
    [403, 'NonStandardHostForbidden', /--bucket-endpoint https:\/\/oss-REGION\.aliyuncs\.com/],
    [403, 'CnameDenied', /bucket of another account/],
    [403, 'CnameIsRisk', /support/],
  ] as const) {
    const world = await openBinding(t, { here: true })
    world.emulator.bindCname(host, bucket)
    world.emulator.fail({ action: 'oss:PutCname' }, { status, code })
    const { result } = await world.give(t, material, toHost(world), { code: 1 })
    t.match(stepError(result), { code: 'CLOUD_REFUSED', hint, vendor: { code, requestId: /^[0-9A-F]{24}$/ } }, code)
    t.equal(world.asked('oss:PutCname').length, 1, 'what cannot pass is asked once')
    t.equal(result.pending.length, 1)
  }
})

t.test('what may pass is tried again', async (t) => {
  const world = await openBinding(t)
  world.emulator.bindCname(host, bucket)
  world.emulator.fail({ action: 'oss:PutCname', nth: [1, 2] }, { status: 503, code: 'MetaOperationQpsLimitExceeded' })
  world.emulator.fail({ action: 'oss:ListCname', nth: 1 }, { reset: 'before' })
  await world.give(t, material, toHost(world))
  t.equal(shown(world), sha256Of(material))
})

t.test('what is refused before anything is sent', async (t) => {
  const world = await openBinding(t, { here: true })
  const endpoint = world.toBuckets
  for (const [words, message, hint] of [
    [
      ['--oss-cname', `${bucket}/*.example.com`, ...endpoint],
      /\*\.example\.com cannot be bound.*exact host names/,
      /name each host.*auto/,
    ],
    [
      ['--oss-cname', host, ...endpoint],
      /does not say which bucket/,
      new RegExp(`BUCKET/${host}.*--bucket.*--no-layout`),
    ],
    [['--oss-cname', `${bucket}/`, ...endpoint], /does not say which bucket/, /BUCKET\/static\.example\.com/],
    [['--oss-cname', `/${host}`, ...endpoint], /does not say which bucket/, /BUCKET\//],
    [['--oss-cname', `${bucket}/192.0.2.1`, ...endpoint], /is not a domain/, /static\.example\.com, or auto/],
    [['--oss-cname', `${bucket}/www.example.net`, ...endpoint], /does not cover www\.example\.net/, /./],
    [
      ['--oss-cname', `${bucket}/a.b.example.com`, ...endpoint],
      /does not cover a\.b\.example\.com/,
      /exactly one label/,
    ],
  ] as const) {
    const run = await world.run(['deploy', '--fullchain', '-', '--json', ...words], {
      input: material.fullchain + material.key,
    })
    t.equal(run.code, 2, words.join(' '))
    t.match(resultOf(run).error, { message, hint })
  }
  t.equal(world.emulator.requests.length, 0)
})

t.test('auto', async (t) => {
  t.test('takes every domain of the bucket that the certificate covers', async (t) => {
    const world = await openBinding(t, { here: true })
    const { emulator } = world
    emulator.addBucket('other-bucket', {})
    const covered = [host, 'www.example.com', 'xn--bcher-kva.example.com']
    const left = ['example.com', 'a.b.example.com', 'www.example.net']
    for (const one of [...covered, ...left]) emulator.bindCname(one, bucket, { certificate: pair(stranger) })
    emulator.bindCname('other.example.com', 'other-bucket', { certificate: pair(stranger) })
    const { result } = await world.give(t, material, toHost(world, 'auto'))
    t.same(stepsOf(result), ['find unchanged', ...covered.map((one) => `bind ${one} changed`)].sort())
    t.equal(result.stages[0]?.steps[0]?.note, 'found 3')
    for (const one of covered) t.equal(shown(world, one), sha256Of(material), one)
    for (const one of [...left, 'other.example.com']) t.equal(shown(world, one), sha256Of(stranger), one)

    const again = await world.give(t, material, toHost(world, 'auto'))
    t.same(stepsOf(again.result), ['find unchanged', ...covered.map((one) => `bind ${one} unchanged`)].sort())
    t.equal(world.asked('oss:PutCname').length, 3)
  })

  t.test('none is covered', async (t) => {
    for (const bound of [[], ['www.example.net', 'example.com']]) {
      const world = await openBinding(t, { here: true })
      for (const one of bound) world.emulator.bindCname(one, bucket, { certificate: pair(stranger) })
      const { result } = await world.give(t, material, toHost(world, 'auto'))
      t.match(result, { ok: true, stages: only({ status: 'skipped', steps: only({ id: 'find' }) }), pending: only() })
      t.match(result.warnings, only(new RegExp(`none of the ${bound.length} domains of the bucket is covered`)))
      t.equal(world.asked('oss:PutCname').length, 0)
      t.match(await world.syncNow(t), { ok: true, results: only() }, 'and nothing is left to do')
    }
  })

  t.test('listing is not permitted', async (t) => {
    const world = await openBinding(t, { here: true, key: { deny: [{ action: 'oss:ListCname', resource: '*' }] } })
    world.emulator.bindCname(host, bucket)
    const { result } = await world.give(t, material, toHost(world, 'auto'), { code: 1 })
    t.match(stepError(result), {
      code: 'CLOUD_REFUSED',
      message: /may not be listed/,
      hint: /oss:ListCname on acs:oss:\*:\*:my-ssl-certs .*, or name each domain: --oss-cname my-ssl-certs\//,
    })
    world.emulator.addKey({ ...world.key, deny: [] })
    await world.syncNow(t)
    t.equal(shown(world), sha256Of(material), 'sync finds, and does what it found')
  })

  t.test('one of them fails', async (t) => {
    const world = await openBinding(t, { here: true })
    const all = ['a.example.com', 'b.example.com', 'c.example.com']
    for (const one of all) world.emulator.bindCname(one, bucket, { certificate: pair(stranger) })
    // The domain stands in the body, so the fault goes by the order; which of them it strikes is open.
    const fault = world.emulator.fail({ action: 'oss:PutCname', nth: 2 }, { status: 403, code: 'CnameIsRisk' })
    const { result } = await world.give(t, material, toHost(world, 'auto'), { code: 3 })
    t.equal(fault.hits, 1)
    const failed = all.filter((one) => shown(world, one) !== sha256Of(material))
    t.equal(failed.length, 1)
    t.same(
      result.pending.map(({ step }) => step),
      [`bind ${failed[0]}`],
    )
    const from = world.emulator.requests.length
    const synced = await world.syncNow(t)
    t.same(stepsOf(synced.results[0] ?? { stages: [] }), [`bind ${failed[0]} changed`])
    t.same(
      world.asked('oss:PutCname', from).map((put) => readPut(put)['Domain']),
      failed,
      'no other is touched',
    )
    t.equal(shown(world, failed[0]), sha256Of(material))
  })
})

t.test('a dry run', async (t) => {
  const world = await openBinding(t)
  const words = ['--dry-run', '--oss-cname', `${bucket}/auto`, ...toHost(world)]
  const { result, requests } = await world.give(t, material, words, {
    environment: { ALIBABA_CLOUD_ACCESS_KEY_ID: '' },
  })
  t.same(stepsOf(result), ['bind planned', 'find planned'])
  t.equal(result.stages[0]?.steps[0]?.note, 'resolved when run')
  t.equal(requests.length, 0)
})

await proveNoKeyLeaks(t)
