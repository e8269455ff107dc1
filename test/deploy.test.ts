import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { version } from '../src/version.js'
import {
  bucket,
  daysFromNow,
  deploymentsIn,
  fileNames,
  intermediate,
  isPut,
  type Material,
  mintMaterial,
  openWorld,
  pemFiles,
  prefix,
  proveSilence,
  provesFiles,
  provesLayout,
  putKeys,
  putOnly,
  readFrontMatter,
  resultOf,
  sha256,
  until,
  type World,
} from './deploy-world.js'
import { type Authority, crossSign, keyPem, mintAuthority, rsaKey } from './mint.js'

const material = await mintMaterial()
const older = await mintMaterial({ notBefore: daysFromNow(-60), notAfter: daysFromNow(30) })

const succeeds = async (t: Test, run: ReturnType<World['run']>): Promise<Awaited<ReturnType<World['run']>>> => {
  const result = await run
  t.equal(result.code, 0, result.code === 0 ? 'exit 0' : result.stderr)
  return result
}

/** Without a prefix. */
const toBucket = ({ emulator }: World): string[] => [
  ...['--bucket', bucket, '--region', 'oss-cn-hangzhou'],
  ...['--endpoint', emulator.url],
]

const standing = (world: World, file = 'cert.pem', under = prefix): string | undefined =>
  world.objects.get(`${under}latest/${file}`)?.body.toString()

/** Puts another's `latest/` there: PEM files and no word about them. */
const putByHand = (world: World, { fullchain, leaf, chain, key }: Material, readme?: string): void => {
  const files = { 'cert.pem': leaf, 'privkey.pem': key, 'chain.pem': chain, 'fullchain.pem': fullchain }
  for (const [file, body] of Object.entries(files)) world.emulator.putObject(bucket, `${prefix}latest/${file}`, body)
  if (readme !== undefined) world.emulator.putObject(bucket, `${prefix}latest/README.md`, readme)
}

t.test('the layout', async (t) => {
  const world = await openWorld(t)
  const result = await succeeds(t, world.deploy(material))
  const until = material.notAfter.toISOString().slice(0, 10)
  t.equal(
    result.stdout,
    `example.com (${material.archive}, valid until ${until}) is in place: oss ${bucket}/${prefix}\n`,
  )
  provesLayout(t, world.objects, material)

  const puts = world.emulator.requests.filter(isPut)
  t.equal(puts.length, 10)
  t.equal(new Set(world.emulator.requests.map(({ accessKeyId }) => accessKeyId)).size, 1, 'every request is signed')
  for (const { key = '', headers, body } of puts) {
    const file = key.split('/').at(-1) ?? ''
    const inLatest = key.startsWith(`${prefix}latest/`)
    const ours = Object.entries(headers).filter(([name]) => /^(content-(md5|type)|cache-control|x-oss-)/.test(name))
    const wanted = {
      'content-md5': createHash('md5').update(body).digest('base64'),
      'content-type': file === 'README.md' ? 'text/markdown; charset=utf-8' : 'application/x-pem-file',
      'x-oss-meta-archive': material.archive,
      'x-oss-meta-sha256': sha256(body),
      'x-oss-meta-not-before': material.notBefore.toISOString(),
      'x-oss-meta-not-after': material.notAfter.toISOString(),
      ...(inLatest ? { 'cache-control': 'no-cache' } : { 'x-oss-forbid-overwrite': 'true' }),
      ...(file === 'privkey.pem' && { 'x-oss-object-acl': 'private' }),
    }
    const signing = ['x-oss-date', 'x-oss-content-sha256']
    t.same(Object.fromEntries(ours.filter(([name]) => !signing.includes(name))), wanted, key)
  }
  for (const key of [`${prefix}${material.archive}/privkey.pem`, `${prefix}latest/privkey.pem`]) {
    t.equal(world.objects.get(key)?.acl, 'private', `${key} is private by itself`)
  }
  for (const file of ['cert.pem', 'privkey.pem', 'chain.pem', 'fullchain.pem']) {
    t.match(standing(world, file), /^(-----BEGIN [A-Z ]+-----\n([^\n]{64}\n)*[^\n]{1,64}\n-----END [A-Z ]+-----\n)+$/)
  }
  t.match(standing(world, 'privkey.pem'), /^-----BEGIN PRIVATE KEY-----\n/)
})

t.test('the archive comes first and at once, then latest/ at once, README.md last', async (t) => {
  const world = await openWorld(t)
  const inFlight = (pattern: RegExp): number =>
    world.emulator.requests.filter(
      (request) => isPut(request) && pattern.test(request.key ?? '') && request.answer === undefined,
    ).length
  const holding = async (key: RegExp, count: number, look: () => void): Promise<void> => {
    const rule = world.emulator.fail({ method: 'PUT', key }, { delayMs: 600_000 })
    const run = world.deploy(material, world.toBucket, {
      onStart: (child) => {
        until(`${count} requests at once`, () => inFlight(key) === count)
          .then(look)
          .catch((error: unknown) => t.fail(String(error)))
          .finally(() => child.kill('SIGKILL'))
      },
    })
    await run
    rule.remove()
  }
  await holding(new RegExp(`/${material.archive}/`), 5, () => {
    t.equal(putKeys(world.emulator).length, 0, 'nothing else before them')
    t.equal(world.emulator.requests.filter((request) => isPut(request)).length, 5, 'and nothing beside them')
  })
  const before = world.emulator.requests.length
  await holding(/\/latest\/.*\.pem$/, 4, () => {
    t.equal(putKeys(world.emulator, before).length, 5, 'the archive is whole by then')
    t.notOk(world.emulator.requests.slice(before).some(({ key }) => key === `${prefix}latest/README.md`))
  })

  const late = 300
  world.emulator.fail({ method: 'PUT', key: /latest\/chain\.pem$/ }, { delayMs: late })
  const then = world.emulator.requests.length
  await succeeds(t, world.deploy(material))
  const at = (key: string): number =>
    world.emulator.requests
      .slice(then)
      .find((request) => isPut(request) && request.key === prefix + key)
      ?.time.getTime() ?? 0
  t.ok(at('latest/README.md') - at('latest/chain.pem') >= late - 5, 'README.md waits for the slowest of the four')
  provesLayout(t, world.objects, material)
})

t.test('README.md depends on the certificate alone', async (t) => {
  // Ten days from now the newest of ours is still in force, and so is the first.
  const laterBy = 10 * 86_400_000
  let shift = 0
  const world = await openWorld(t, { emulator: { now: () => new Date(Date.now() + shift) } })
  await succeeds(t, world.deploy(material))
  const first = standing(world, 'README.md') ?? ''
  const preload = `
    import os from 'node:os'
    import { syncBuiltinESMExports } from 'node:module'
    const Real = Date
    globalThis.Date = class extends Real {
      constructor(...words) { if (words.length === 0) super(Real.now() + ${laterBy}); else super(...words) }
      static now() { return Real.now() + ${laterBy} }
    }
    os.hostname = () => 'another-host'
    syncBuiltinESMExports()`
  shift = laterBy
  mkdirSync(world.path('elsewhere'))
  await succeeds(
    t,
    world.deploy(material, [...toBucket(world), '--prefix', 'other'], {
      folder: world.path('elsewhere'),
      nodeOptions: [`--import=data:text/javascript,${encodeURIComponent(preload)}`],
      environment: {
        TZ: 'Pacific/Kiritimati',
        LC_ALL: 'de_DE.UTF-8',
        USER: 'somebody',
        ACME_OSS_STATE_DIR: world.path('state of another host'),
      },
    }),
  )
  const [record] = deploymentsIn(world.path('state of another host'))
  t.match(JSON.stringify(record), new RegExp(new Date(Date.now() + laterBy).toISOString().slice(0, 8)), 'it is later')
  for (const folder of ['latest', material.archive]) {
    t.equal(world.objects.get(`other/${folder}/README.md`)?.body.toString(), first, folder)
    t.equal(world.objects.get(`${prefix}${folder}/README.md`)?.body.toString(), first, folder)
  }
  const { x509 } = material
  for (const fact of [
    ...material.names,
    x509.serialNumber,
    x509.fingerprint.replaceAll(':', '').toLowerCase(),
    x509.fingerprint256.replaceAll(':', '').toLowerCase(),
    'Test Intermediate CA',
    'EC P-256',
    `${material.archive}/`,
    'openssl',
  ]) {
    t.ok(first.split('\n---\n')[1]?.includes(fact), `for people: ${fact}`)
  }
  t.notOk(first.includes(version), 'no version')
})

t.test('the date of the archive is the day in UTC on which the certificate begins', async (t) => {
  const world = await openWorld(t)
  const lateAtNight = await mintMaterial({
    notBefore: new Date(`${daysFromNow(-3).toISOString().slice(0, 10)}T23:30:00Z`),
  })
  t.equal(lateAtNight.archive.slice(0, 10), daysFromNow(-3).toISOString().slice(0, 10))
  for (const TZ of ['Asia/Shanghai', 'America/Los_Angeles']) {
    await succeeds(t, world.deploy(lateAtNight, world.toBucket, { environment: { TZ } }))
  }
  provesLayout(t, world.objects, lateAtNight)
})

t.test('prefixes', async (t) => {
  const world = await openWorld(t, { here: true })
  const cases: Readonly<Record<string, string>> = {
    '': '',
    plain: 'plain/',
    'closed/': 'closed/',
    'a/b//': 'a/b/',
    'odd/例え a+b%41~(1)!#?&=*': 'odd/例え a+b%41~(1)!#?&=*/',
    ['long/'.repeat(196)]: 'long/'.repeat(196),
  }
  for (const [given, under] of Object.entries(cases)) {
    world.emulator.addBucket(bucket)
    await succeeds(t, world.deploy(material, [...toBucket(world), ...(given === '' ? [] : ['--prefix', given])]))
    const objects = world.emulator.objects(bucket)
    provesLayout(t, objects, material, { under })
    t.equal(objects.size, 10, `nothing beside ${under}`)
  }
})

t.test('chains and keys of every kind', async (t) => {
  const world = await openWorld(t, { here: true })
  const root = await mintAuthority({ name: 'Another Root' })
  const above = await mintAuthority({ name: 'Above', issuer: root })
  const issuer: Authority = await mintAuthority({ name: 'Below', issuer: above, key: 'ec384' })

  const kinds = ['rsa2048', 'ec384', 'ec521', 'ed25519'] as const
  for (const kind of kinds) {
    const one = await mintMaterial({
      key: kind === 'rsa2048' ? rsaKey('deploy') : kind,
      issuer,
      chain: issuer.pem + above.pem,
      notAfter: daysFromNow(90 + kinds.indexOf(kind)),
    })
    // Root and intermediates the wrong way round, the leaf twice and in between, the key in its oldest encoding first.
    const traditional = { rsa2048: 'pkcs1', ec384: 'sec1', ec521: 'sec1-with-params', ed25519: 'pkcs8' } as const
    const jumble = [keyPem(one.privateKey, traditional[kind]), root.pem, above.pem, one.leaf, issuer.pem, one.leaf]
    await succeeds(t, world.run(['deploy', '--fullchain', '-', ...world.toBucket], { input: jumble.join('') }))
    for (const [file, body] of Object.entries(pemFiles(one))) t.equal(standing(world, file), body, `${kind} ${file}`)
  }

  const crossed = await crossSign(issuer, root)
  const direct = await mintMaterial({ issuer: crossed, chain: crossed.pem, notAfter: daysFromNow(100) })
  await succeeds(t, world.deploy(direct))
  t.equal(standing(world, 'chain.pem'), crossed.pem, 'the way that was given')

  const alone = await mintMaterial({ issuer: undefined, notAfter: daysFromNow(110) })
  await succeeds(t, world.deploy(alone))
  t.equal(standing(world, 'chain.pem'), '', 'no intermediates: an empty file')
  t.equal(standing(world, 'fullchain.pem'), alone.leaf)
  provesFiles(t, alone, (file) => world.objects.get(`${prefix}latest/${file}`)?.body)
})

t.test('names of every kind stand in the manifest', async (t) => {
  const world = await openWorld(t, { here: true })
  const names = ['*.example.com', 'example.com', 'xn--r8jz45g.example', '192.0.2.1', '2001:db8::1']
  const one = await mintMaterial({ names })
  const result = resultOf(await succeeds(t, world.deploy(one, [...world.toBucket, '--json'])))
  t.same(result.certificate?.['names'], names)
  provesLayout(t, world.objects, one)
  t.same(readdirSync(join(world.state, 'deployments')), ['%2A.example.com'])

  const many = await mintMaterial({ names: Array.from({ length: 100 }, (_, i) => `name-${i}.example.com`) })
  await succeeds(t, world.deploy(many, [...toBucket(world), '--prefix', 'many']))
  provesLayout(t, world.objects, many, { under: 'many/' })

  const bare = await mintMaterial({ names: ['old.example.com'], san: false })
  const old = resultOf(await succeeds(t, world.deploy(bare, [...toBucket(world), '--prefix', 'bare', '--json'])))
  t.match(old, { certificate: { name: 'old.example.com', names: [] }, warnings: [/no subject alternative names/] })
  provesLayout(t, world.objects, bare, { under: 'bare/' })
})

t.test('from files', async (t) => {
  const forms: Readonly<Record<string, (world: World, one: Material) => readonly string[]>> = {
    'full chain and key': (world, { fullchain, key }) => [
      ...['--fullchain', world.file('fullchain.pem', fullchain)],
      ...['--key', world.file('privkey.pem', key)],
    ],
    'leaf, chain and key': (world, { leaf, chain, key }) => [
      ...['--cert', world.file('cert.pem', leaf)],
      ...['--chain', world.file('chain.pem', chain)],
      ...['--key', world.file('privkey.pem', key)],
    ],
    'one file with everything in it': (world, { fullchain, key }) => [
      ...['--fullchain', world.file('all.pem', key + fullchain)],
    ],
    'the key in a file of its own, the chain on standard input': (world, { key }) => [
      ...['--fullchain', '-', '--key', world.file('privkey.pem', key)],
    ],
    'the key on standard input': (world, { fullchain }) => [
      ...['--key', '-', '--fullchain', world.file('fullchain.pem', fullchain)],
    ],
    'both named as standard input': () => ['--fullchain', '-', '--key', '-'],
    'paths relative to where it runs': (world, { fullchain, key }) => {
      world.file('f.pem', fullchain)
      world.file('k.pem', key)
      return ['--fullchain', 'f.pem', '--key', './k.pem']
    },
    'CRLF, a BOM and remarks': (world, { fullchain, key }) => [
      ...['--fullchain', world.file('f.pem', `\ufeffBag Attributes\r\n${fullchain.replaceAll('\n', '\r\n')}`)],
      ...['--key', world.file('k.pem', `# mine\r\n${key.replaceAll('\n', '\r\n')}`)],
    ],
    'UTF-16, as Windows shells write it': (world, { fullchain, key }) => [
      ...['--fullchain', world.file('f.pem', Buffer.from(`\ufeff${fullchain}`, 'utf16le'))],
      ...['--key', world.file('k.pem', Buffer.from(`\ufeff${key}`, 'utf16le'))],
    ],
    'the same file twice': (world, { fullchain, key }) => {
      const file = world.file('all.pem', fullchain + key)
      return ['--fullchain', file, '--key', file, '--chain', file]
    },
  }
  const world = await openWorld(t, { here: true })
  const one = await mintMaterial({ key: rsaKey('files') })
  const pkcs1 = { ...one, key: keyPem(one.privateKey, 'pkcs1') }
  for (const [what, words] of Object.entries(forms)) {
    world.emulator.addBucket(bucket)
    const given = words(world, pkcs1)
    const input = given.includes('--key') && given[given.indexOf('--key') + 1] !== '-' ? one.fullchain : pkcs1.key
    const both = given.filter((word) => word === '-').length === 2 ? one.fullchain + pkcs1.key : input
    // Where relative paths begin is the process's own.
    const here = !given.includes('f.pem')
    await succeeds(t, world.run(['deploy', ...given, ...world.toBucket], { input: both, here }))
    t.comment(what)
    provesLayout(t, world.emulator.objects(bucket), one)
  }
})

t.test('the same material again', async (t) => {
  const world = await openWorld(t)
  await succeeds(t, world.deploy(material))
  const stored = new Map(world.objects)
  const before = world.emulator.requests.length
  const again = await succeeds(t, world.deploy(material, [...world.toBucket, '--json']))
  t.same(putKeys(world.emulator, before), [], 'nothing is written')
  for (const [key, object] of stored) t.equal(world.objects.get(key), object, `${key} is untouched`)
  t.match(resultOf(again), {
    ok: true,
    stages: [
      {
        status: 'unchanged',
        steps: [
          { id: 'archive', status: 'unchanged', note: 'already archived' },
          { id: 'latest', status: 'unchanged', note: 'already there' },
        ],
      },
    ],
    pending: [],
    warnings: [],
    error: null,
  })
  const inLatest = world.emulator.requests.slice(before).filter(({ key }) => key?.startsWith(`${prefix}latest/`))
  t.notOk(inLatest.some(isPut), 'latest/ is only looked at')

  world.emulator.addKey({ ...world.key, allow: putOnly })
  const blind = world.emulator.requests.length
  await succeeds(t, world.deploy(material))
  t.same(
    putKeys(world.emulator, blind).sort(),
    fileNames.map((file) => `${prefix}latest/${file}`).sort(),
    'the archive is never written twice, where nothing can be read either',
  )
})

t.test('a bucket with versioning, which ignores that nothing is to be overwritten', async (t) => {
  for (const versioning of ['Enabled', 'Suspended'] as const) {
    const world = await openWorld(t, { here: true, bucket: { versioning } })
    await succeeds(t, world.deploy(material))
    await succeeds(t, world.deploy(material))
    provesLayout(t, world.objects, material)
    for (const file of fileNames) t.equal(world.objects.get(`${prefix}latest/${file}`)?.versions, 1, file)
  }
})

t.test('an older certificate after a newer one', async (t) => {
  const world = await openWorld(t)
  await succeeds(t, world.deploy(material))
  const late = await succeeds(t, world.deploy(older))
  t.match(late.stderr, /update oss:\/\/\S+latest\/: a newer certificate is there .*--allow-older/)
  provesLayout(t, world.objects, material, { others: fileNames.map((file) => `${prefix}${older.archive}/${file}`) })
  provesFiles(t, older, (file) => world.objects.get(`${prefix}${older.archive}/${file}`)?.body)

  const json = resultOf(await succeeds(t, world.deploy(older, [...world.toBucket, '--json'])))
  t.match(json, { ok: true, pending: [], stages: [{ status: 'unchanged' }] })
  t.match(json.stages[0]?.steps[1], { id: 'latest', status: 'unchanged', note: /newer certificate/ })
  t.notOk(
    deploymentsIn(world.state).some(({ privateKey }) => privateKey !== undefined),
    'it is done with',
  )

  await succeeds(t, world.deploy(older, [...world.toBucket, '--allow-older']))
  t.equal(standing(world), older.leaf, '--allow-older replaces it')
  provesFiles(t, older, (file) => world.objects.get(`${prefix}latest/${file}`)?.body)

  await succeeds(t, world.deploy(material))
  t.equal(standing(world), material.leaf, 'and the newer one needs no flag to come back')
})

t.test('only one of the two dates is earlier: it is replaced', async (t) => {
  const there = await mintMaterial({ notBefore: daysFromNow(-10), notAfter: daysFromNow(80) })
  const shortLived = await mintMaterial({ notBefore: daysFromNow(-5), notAfter: daysFromNow(2) })
  const longLived = await mintMaterial({ notBefore: daysFromNow(-20), notAfter: daysFromNow(300) })
  const twin = await mintMaterial({ notBefore: there.notBefore, notAfter: there.notAfter })
  for (const next of [shortLived, longLived, twin]) {
    const world = await openWorld(t, { here: true })
    await succeeds(t, world.deploy(there))
    await succeeds(t, world.deploy(next))
    t.equal(standing(world), next.leaf)
    provesFiles(t, next, (file) => world.objects.get(`${prefix}latest/${file}`)?.body)
  }
})

t.test('where reading is not permitted, an older one is written, too', async (t) => {
  const world = await openWorld(t, { allow: putOnly, key: { hideMissing: true } })
  await succeeds(t, world.deploy(material))
  await succeeds(t, world.deploy(older))
  t.equal(standing(world), older.leaf)
})

t.test('a latest/ that somebody else wrote', async (t) => {
  t.test('a newer certificate is left alone', async (t) => {
    const world = await openWorld(t, { here: true })
    putByHand(world, material)
    await succeeds(t, world.deploy(older))
    t.equal(standing(world), material.leaf)
    t.equal(standing(world, 'README.md'), undefined)
  })
  t.test('an older one is replaced, whole', async (t) => {
    const world = await openWorld(t, { here: true })
    putByHand(world, older, '# certificates\n')
    await succeeds(t, world.deploy(material))
    provesLayout(t, world.objects, material)
  })
  t.test('the very same files, put there by another tool, count as there', async (t) => {
    const world = await openWorld(t, { here: true })
    await succeeds(t, world.deploy(material))
    putByHand(world, material, standing(world, 'README.md'))
    const before = world.emulator.requests.length
    await succeeds(t, world.deploy(material))
    t.same(putKeys(world.emulator, before), [])
  })
  t.test('the same certificate with another file beside it is not whole', async (t) => {
    for (const [file, body] of [
      ['README.md', '# certificates\n'],
      ['privkey.pem', older.key],
      ['chain.pem', ''],
    ] as const) {
      const world = await openWorld(t, { here: true })
      await succeeds(t, world.deploy(material))
      world.emulator.putObject(bucket, `${prefix}latest/${file}`, body)
      await succeeds(t, world.deploy(material))
      provesLayout(t, world.objects, material)
    }
  })
  t.test('what is no certificate is replaced', async (t) => {
    const garbage = ['', 'not a certificate\n', '-----BEGIN CERTIFICATE-----\n', '\u0000\u0001', material.key]
    const world = await openWorld(t, { here: true })
    for (const body of garbage) {
      world.emulator.putObject(bucket, `${prefix}latest/cert.pem`, body)
      world.emulator.putObject(bucket, `${prefix}latest/README.md`, '---\narchive: [\n')
      await succeeds(t, world.deploy(older))
      provesLayout(t, world.objects, older)
    }
  })
})

t.test('a latest/ that was left half-written is completed', async (t) => {
  const world = await openWorld(t, { here: true })
  const objects = world.objects as Map<string, unknown>
  await succeeds(t, world.deploy(older))
  const readme = standing(world, 'README.md') ?? ''
  const headers = { 'x-oss-meta-archive': older.archive, 'x-oss-meta-sha256': sha256(readme) }
  await succeeds(t, world.deploy(material))
  const others = fileNames.map((file) => `${prefix}${older.archive}/${file}`)

  world.emulator.putObject(bucket, `${prefix}latest/README.md`, readme, headers)
  await succeeds(t, world.deploy(material))
  provesLayout(t, world.objects, material, { others })

  for (const file of fileNames) {
    objects.delete(`${prefix}latest/${file}`)
    await succeeds(t, world.deploy(material))
    t.comment(`without ${file}`)
    provesLayout(t, world.objects, material, { others })
  }
  for (const file of fileNames) objects.delete(`${prefix}${material.archive}/${file}`)
  objects.set(`${prefix}${material.archive}/chain.pem`, world.objects.get(`${prefix}latest/chain.pem`))
  const result = resultOf(await succeeds(t, world.deploy(material, [...world.toBucket, '--json'])))
  t.match(result.stages[0]?.steps[0], { status: 'changed', note: '1 of 5 were there already' })
  provesLayout(t, world.objects, material, { others })
})

t.test('the same leaf with another chain reaches latest/', async (t) => {
  const world = await openWorld(t, { here: true })
  const bare = { ...material, fullchain: material.leaf, chain: '' }
  const first = await succeeds(t, world.deploy(bare))
  t.match(first.stderr, /warning: no intermediate certificates were given/)
  const mended = resultOf(await succeeds(t, world.deploy(material, [...world.toBucket, '--json'])))
  t.match(mended.warnings, [
    /was archived with other content \(chain\.pem, fullchain\.pem, README\.md\) and stays as it is/,
  ])
  provesFiles(t, material, (file) => world.objects.get(`${prefix}latest/${file}`)?.body)
  const archived = world.objects.get(`${prefix}${material.archive}/README.md`)?.body.toString() ?? ''
  t.equal(readFrontMatter(archived).sha256['chain.pem'], sha256(''), 'the archive stays as it was')
})

t.test('encryption by the server', async (t) => {
  for (const sse of ['AES256', 'KMS', 'SM4']) {
    const world = await openWorld(t, { here: true })
    await succeeds(t, world.deploy(material, [...world.toBucket, '--sse', sse]))
    provesLayout(t, world.objects, material)
    for (const [key, object] of world.objects) t.equal(object.sse, sse, key)
  }
})

t.test('--name, and other certificates under the same prefix', async (t) => {
  const world = await openWorld(t)
  const result = resultOf(await succeeds(t, world.deploy(material, [...world.toBucket, '--name', 'shop', '--json'])))
  t.equal(result.certificate?.['name'], 'shop')
  t.same(
    deploymentsIn(world.state).map(({ folder }) => folder),
    [`shop/${sha256(material.x509.raw).slice(0, 12)}`],
  )
  world.emulator.putObject(bucket, `${prefix}notes.txt`, 'mine')
  await succeeds(t, world.deploy(material, [...world.toBucket, '--name', 'shop']))
  t.equal(world.objects.get(`${prefix}notes.txt`)?.body.toString(), 'mine')
})

t.test('--json', async (t) => {
  const world = await openWorld(t)
  const run = await succeeds(t, world.deploy(material, [...world.toBucket, '--directory', world.path('tls'), '--json']))
  const result = resultOf(run)
  const { x509 } = material
  t.same(result, {
    schema: 'acme-oss/1',
    command: 'deploy',
    ok: true,
    certificate: {
      name: 'example.com',
      names: material.names,
      notBefore: material.notBefore.toISOString(),
      notAfter: material.notAfter.toISOString(),
      serial: x509.serialNumber,
      sha1: x509.fingerprint.replaceAll(':', '').toLowerCase(),
      sha256: x509.fingerprint256.replaceAll(':', '').toLowerCase(),
      archive: material.archive,
    },
    stages: [`oss ${bucket}/${prefix}`, `directory ${world.path('tls')}`].map((target, i) => ({
      target,
      status: 'changed',
      steps: ['archive', 'latest'].map((id, j) => ({
        id,
        does: result.stages[i]?.steps[j]?.does,
        status: 'changed',
        ms: result.stages[i]?.steps[j]?.ms,
        note: null,
        error: null,
      })),
    })),
    pending: [],
    warnings: [],
    error: null,
  })
  t.match(run.stderr, /✓ oss: archive/, 'progress still goes to standard error')
  const quiet = await world.deploy(material, [...world.toBucket, '--json', '--quiet'], { terse: true })
  t.equal(quiet.stderr, '', 'unless it is not wanted')
  t.ok(resultOf(quiet).ok)
})

t.test('what a person sees', async (t) => {
  const world = await openWorld(t)
  const first = await succeeds(t, world.deploy(material, world.toBucket, { terse: true }))
  t.match(first.stderr, /^✓ oss: archive 5 files under \S+ \(\d+ ms\)\n✓ oss: update \S+latest\/ \(\d+ ms\)\n$/)
  t.match(first.stdout, /^example\.com \(\S+, valid until \d{4}-\d\d-\d\d\) is in place: [^\n]+\n$/)
  const quiet = await succeeds(t, world.deploy(material, [...world.toBucket, '--quiet'], { terse: true }))
  t.equal(quiet.stderr, '')
  const again = await succeeds(t, world.deploy(material, world.toBucket, { terse: true }))
  t.match(
    again.stderr,
    /^= oss: archive [^\n]+: already archived \(\d+ ms\)\n= oss: [^\n]+: already there \(\d+ ms\)\n$/,
  )
  t.notOk(`${first.stderr}${first.stdout}`.includes('\u001b'), 'no colours and no spinner where nobody watches')
})

t.test('--dry-run needs no credentials and no network, and touches nothing', async (t) => {
  const world = await openWorld(t)
  const nothing = { ALIBABA_CLOUD_ACCESS_KEY_ID: undefined, ALIBABA_CLOUD_ACCESS_KEY_SECRET: undefined }
  const words = [
    ...['--bucket', bucket, '--region', 'cn-hangzhou', '--prefix', 'certs'],
    ...['--endpoint', 'https://unreachable.invalid', '--directory', world.path('tls'), '--dry-run'],
  ]
  const text = await succeeds(t, world.deploy(material, words, { environment: nothing, terse: true }))
  t.equal(text.stderr, '')
  t.equal(
    text.stdout,
    [
      `example.com (${material.archive}, valid until ${material.notAfter.toISOString().slice(0, 10)}) would go to:`,
      `oss ${bucket}/certs/`,
      `  1. archive 5 files under oss://${bucket}/certs/${material.archive}/`,
      `  2. update oss://${bucket}/certs/latest/`,
      `directory ${world.path('tls')}`,
      `  1. archive 5 files in ${world.path('tls', material.archive)}/`,
      `  2. point ${world.path('tls', 'latest')} at it`,
      '',
    ].join('\n'),
  )
  const json = resultOf(await succeeds(t, world.deploy(material, [...words, '--json'], { environment: nothing })))
  t.equal(json.ok, true)
  for (const stage of json.stages) {
    t.equal(stage.status, 'planned')
    for (const step of stage.steps) t.match(step, { status: 'planned', ms: null, note: null, error: null })
  }
  t.same(
    json.stages.map(({ steps }) => steps.map(({ id }) => id)),
    [
      ['archive', 'latest'],
      ['archive', 'latest'],
    ],
  )
  await succeeds(t, world.deploy(material, [...world.toBucket, '--dry-run']))
  t.equal(world.emulator.requests.length, 0)
  t.equal(world.emulator.connections, 0, 'not even a connection')
  t.same(readdirSync(world.folder), [], 'no state, no folder')

  const bare = { ...material, fullchain: material.leaf }
  const warned = await succeeds(t, world.deploy(bare, [...words, '--json']))
  t.match(resultOf(warned).warnings, [/no intermediate certificates/])
})

t.test('a switch that is given a value means what it says', async (t) => {
  const world = await openWorld(t, { here: true })
  for (const on of ['true', '1', 'yes', 'on']) {
    const before = world.emulator.requests.length
    await succeeds(t, world.deploy(material, [...world.toBucket, `--dry-run=${on}`]))
    t.equal(world.emulator.requests.length, before, `--dry-run=${on} is a dry run`)
  }
  for (const off of ['false', '0', 'no', 'off']) {
    const json = await world.deploy(material, [...world.toBucket, '--dry-run', `--json=${off}`])
    t.notMatch(json.stdout, /^\{/, `--json=${off} is no JSON`)
  }
  const before = world.emulator.requests.length
  const neither = await world.deploy(material, [...world.toBucket, '--dry-run=maybe'])
  t.equal(neither.code, 2, 'what is neither is refused')
  t.equal(world.emulator.requests.length, before)
})

t.test('everything by the environment', async (t) => {
  const world = await openWorld(t, {
    bucket: { acl: 'public-read' },
    allow: [...putOnly, { action: ['oss:GetObject', 'oss:GetBucket*', 'kms:*'], resource: '*' }],
  })
  const environment = {
    ACME_OSS_FULLCHAIN: world.file('f.pem', material.fullchain),
    ACME_OSS_KEY: world.file('k.pem', material.key),
    ACME_OSS_NAME: 'shop',
    ACME_OSS_BUCKET: bucket,
    ACME_OSS_REGION: 'cn-hangzhou',
    ACME_OSS_PREFIX: 'certs/shop',
    ACME_OSS_ENDPOINT: world.emulator.url,
    ACME_OSS_CNAME_ENDPOINT: '0',
    ACME_OSS_BUCKET_ENDPOINT: world.emulator.url,
    ACME_OSS_SSE: 'KMS',
    ACME_OSS_DIRECTORY: world.path('tls'),
    ACME_OSS_ALLOW_PUBLIC_BUCKET: 'yes',
    ACME_OSS_ALLOW_OLDER: 'false',
    ACME_OSS_STATE_DIR: world.path('elsewhere'),
    ACME_OSS_TIMEOUT: '30',
    ACME_OSS_DRY_RUN: 'no',
    ACME_OSS_JSON: '1',
    ACME_OSS_QUIET: 'off',
    ACME_OSS_VERBOSE: 'ON',
    ACME_OSS_NO_COLOR: 'true',
    // Those of other commands are ignored, and so are empty ones.
    ACME_OSS_DOMAIN: 'example.net',
    ACME_OSS_CA: 'letsencrypt',
    ACME_OSS_SOMETHING_NEW: '1',
    ACME_OSS_CERT: '',
    ACME_OSS_CHAIN: '',
  }
  const run = await succeeds(t, world.run(['deploy'], { environment, terse: true }))
  const result = resultOf(run)
  t.equal(result.certificate?.['name'], 'shop')
  provesLayout(t, world.objects, material, { under: 'certs/shop/' })
  for (const [key, object] of world.objects) t.equal(object.sse, 'KMS', key)
  provesFiles(t, material, (file) => readFileSync(world.path('tls', 'latest', file)))
  t.match(run.stderr, / PUT \S+\/cert\.pem 200 /, 'verbose')
  t.match(result.warnings, [/can be read by anybody/])
  t.same(
    deploymentsIn(world.path('elsewhere')).map(({ record }) => record.name),
    ['shop'],
  )
  t.notOk(existsSync(world.state))

  const flagged = await succeeds(
    t,
    world.run(['deploy', '--prefix', 'flag', '--name', 'flag', '--json=false', '--quiet'], {
      environment,
      terse: true,
    }),
  )
  t.match(flagged.stdout, /^flag \([^\n]+is in place: oss my-ssl-certs\/flag\/, directory [^\n]+\n$/, 'flags win')
  provesLayout(t, world.objects, material, { under: 'flag/' })

  const older = await mintMaterial({ notBefore: daysFromNow(-50), notAfter: daysFromNow(10) })
  const separate = {
    ...environment,
    ACME_OSS_FULLCHAIN: '',
    ACME_OSS_CERT: world.file('c.pem', older.leaf),
    ACME_OSS_CHAIN: world.file('i.pem', intermediate.pem),
    ACME_OSS_KEY: world.file('k.pem', older.key),
    ACME_OSS_ALLOW_OLDER: '1',
  }
  const planned = await succeeds(t, world.run(['deploy'], { environment: { ...separate, ACME_OSS_DRY_RUN: '1' } }))
  t.equal(resultOf(planned).stages[0]?.status, 'planned')
  await succeeds(t, world.run(['deploy'], { environment: separate }))
  provesFiles(t, older, (file) => world.objects.get(`certs/shop/latest/${file}`)?.body)
  provesFiles(t, older, (file) => readFileSync(world.path('tls', 'latest', file)))
})

await proveSilence(t)
