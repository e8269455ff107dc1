// What an archive must be to be gone back to, what may be missing for it to be read, and what history says of each.
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { normalize } from '../../src/certificate/normalize.js'
import { Secret } from '../../src/secret.js'
import { layoutFiles } from '../../src/targets/layout.js'
import {
  bucket,
  daysFromNow,
  type Material,
  mintMaterial,
  openWorld,
  prefix,
  proveSilence,
  resultOf,
  sha256,
} from '../deploy-world.js'
import { changesIn } from '../served/served-world.js'
import { ends, provesLatest } from '../sync/hook-call.js'

const mint = (begins: number, ends: number, names?: readonly string[]): Promise<Material> =>
  mintMaterial({ ...(names && { names }), notBefore: daysFromNow(begins), notAfter: daysFromNow(ends) })
const [old, now] = await Promise.all([mint(-30, 60), mint(-10, 80)])
const odd = {
  expired: await mint(-90, -5),
  broken: await mint(-80, 10),
  keyless: await mint(-70, 20),
  fewer: await mint(-60, 30, ['example.com']),
  stranger: await mint(-50, 40, ['example.org']),
}
const copied = '2020-02-02_0123abcd'

/** Writes an archive as it was written on the day that the certificate began. */
const archive = (folder: string, material: Material, change: Readonly<Record<string, string>> = {}): void => {
  const { bundle } = normalize(
    { name: 'x', certificates: material.fullchain, privateKey: Secret.material(material.key) },
    new Date(material.notBefore.getTime() + 60_000),
  )
  mkdirSync(join(folder, material.archive), { recursive: true })
  const files = Object.entries({ ...layoutFiles(bundle), ...change })
  // A manifest that was made to fit: the sums alone do not tell.
  const fitted = (text: string): string =>
    Object.entries(change).reduce(
      (now, [file, body]) => now.replace(new RegExp(`(${file}: )"\\w+"`), `$1"${sha256(body)}"`),
      text,
    )
  for (const [file, body] of files) {
    const text = typeof body === 'string' ? body : body.reveal()
    writeFileSync(join(folder, material.archive, file), file === 'README.md' ? fitted(text) : text)
  }
}

const latestIn = (folder: string): string => readFileSync(join(folder, 'latest', 'cert.pem'), 'utf8')

t.test('in a folder', async (t) => {
  const world = await openWorld(t, { here: true })
  const folder = world.path('here')
  const words = ['--directory', folder]
  ends(t, await world.deploy(old, words), 0)
  archive(folder, odd.expired)
  archive(folder, odd.fewer)
  archive(folder, odd.stranger)
  cpSync(join(folder, old.archive), join(folder, copied), { recursive: true })
  mkdirSync(join(folder, '2020-01-01_0123abcd'))
  mkdirSync(join(folder, 'www.example.com'))

  const refuses = async (t: Test, to: readonly string[], pattern: object, code = 2): Promise<void> => {
    const files = readdirSync(world.state, { recursive: true }).length
    const run = await world.run(['rollback', 'example.com', '--json', ...to])
    ends(t, run, code)
    t.match(resultOf(run).error, pattern)
    t.equal(readdirSync(world.state, { recursive: true }).length, files, 'nothing was written down')
  }

  await t.test('none that would do: each is passed over, with a reason', async (t) => {
    await refuses(t, [], {
      code: 'ARCHIVE_UNUSABLE',
      message: new RegExp(
        `no archive from before ${old.archive} that would do \\(${odd.stranger.archive} does not cover example.com; ${odd.fewer.archive} does not cover www.example.com; ${odd.expired.archive} has expired\\)`,
      ),
    })
  })

  // Of these, only reading all of it tells.
  archive(folder, odd.broken)
  writeFileSync(join(folder, odd.broken.archive, 'chain.pem'), '')
  archive(folder, odd.keyless, { 'privkey.pem': odd.broken.key })
  ends(t, await world.deploy(now, words), 0)
  const cases: Readonly<Record<string, [readonly string[], object]>> = {
    'what no archive is called': [
      ['--to', '../../etc'],
      { code: 'USAGE', message: /is not what an archive is called/ },
    ],
    'one that is not there': [['--to', '2020-03-03_0123abcd'], { code: 'ARCHIVE_UNUSABLE', message: /there is no / }],
    'an expired one': [['--to', odd.expired.archive], { code: 'CERTIFICATE_EXPIRED' }],
    'one whose sums are wrong': [
      ['--to', odd.broken.archive],
      { code: 'ARCHIVE_UNUSABLE', message: /is not whole: chain.pem/ },
    ],
    'one with another key': [
      ['--to', odd.keyless.archive],
      { code: 'KEY_MISMATCH', hint: /choose another one with --to/ },
    ],
    'that of another site': [
      ['--to', odd.stranger.archive],
      { code: 'NAME_NOT_COVERED', message: /is not one of example.com/ },
    ],
    'one under a name that is not its own': [['--to', copied], { code: 'ARCHIVE_UNUSABLE', message: /is that of/ }],
    'one that does not cover a domain': [
      [
        '--to',
        odd.fewer.archive,
        ...words,
        '--bucket',
        'site',
        '--region',
        'cn-hangzhou',
        '--no-layout',
        '--oss-cname',
        'www.example.com',
      ],
      { code: 'NAME_NOT_COVERED', message: /does not cover www.example.com/ },
    ],
    'no archive to look for it in': [
      ['--bucket', 'site', '--region', 'cn-hangzhou', '--no-layout', '--oss-cname', 'www.example.com'],
      { code: 'USAGE', message: /no folder that would keep its archives/ },
    ],
  }
  for (const [what, [to, pattern]] of Object.entries(cases)) {
    await t.test(`refused: ${what}`, (t) => refuses(t, to, pattern))
  }
  await t.test('refused: a name that nothing is known of', async (t) => {
    const run = await world.run(['rollback', 'exampel.com', '--json'])
    ends(t, run, 2)
    t.match(resultOf(run).error, { code: 'USAGE', hint: /did you mean example\.com/ })
  })
  t.equal(latestIn(folder), now.leaf, 'none of them touched anything')

  await t.test('history lists all of it', async (t) => {
    const run = await world.run(['history', '--json'])
    ends(t, run, 0)
    const [place, ...more] = JSON.parse(run.stdout).places
    t.same([place.target, place.count, place.others, more], [`directory ${folder}`, 9, ['www.example.com'], []])
    const seen = place.archives.map(
      (one: Record<string, unknown>) => `${one['archive']} ${one['status']} ${one['expired']}`,
    )
    t.same(seen, [
      `${now.archive} whole false`,
      `${old.archive} whole false`,
      `${odd.stranger.archive} whole false`,
      `${odd.fewer.archive} whole false`,
      `${odd.keyless.archive} whole false`,
      `${odd.broken.archive} whole false`,
      `${odd.expired.archive} whole true`,
      `${copied} damaged null`,
      '2020-01-01_0123abcd damaged null',
    ])
    t.equal(place.archives[0].issuer, now.x509.issuer.replace(/^CN=/, 'CN='))
    const shown = await world.run(['history', '--directory', folder, '--limit', '2'], { terse: true })
    ends(t, shown, 0)
    t.match(shown.stdout, new RegExp(`${now.archive}  until .*\\(latest\\)\n  ${old.archive}`))
    t.match(shown.stdout, 'and 7 older (--limit 2)')
    const all = await world.run(['history'], { terse: true })
    t.match(all.stdout, /2020-01-01_0123abcd +\(has no README\.md\)/)
    t.match(all.stdout, new RegExp(`${copied} .*\\(has the README.md of ${old.archive}\\)`))
    t.match(all.stdout, new RegExp(`${odd.expired.archive} .*\\(expired\\)`))
  })

  await t.test('one with fewer names, if it is asked for, with a warning; and of what is left alone', async (t) => {
    const beside = world.path('beside')
    ends(t, await world.deploy(now, ['--directory', beside]), 0)
    const run = await world.run(['rollback', '--to', odd.fewer.archive, '--json', ...words])
    ends(t, run, 0)
    t.match(JSON.parse(run.stdout).warnings, [
      /does not name www\.example\.com/,
      `directory ${beside} is on record for example.com and not among the targets: it is left as it is`,
    ])
    t.equal(latestIn(beside), now.leaf)
    t.equal(latestIn(folder), odd.fewer.leaf)
  })
})

t.test('the bad one is that of another site', async (t) => {
  const world = await openWorld(t, { here: true })
  const folder = world.path('here')
  const words = ['--directory', folder, '--name', 'example.com']
  const [wrong, wrongAgain] = [
    await mint(-5, 85, ['example.org']),
    await mint(-4, 86, ['example.org', 'example.com.cn']),
  ]
  for (const one of [old, now, wrong]) ends(t, await world.deploy(one, words), 0)
  const rollback = async (to: readonly string[] = [], more: object = {}) => {
    const run = await world.run(['rollback', '--json', ...to], more)
    return { ...JSON.parse(run.stdout), code: run.code }
  }

  await t.test('the one before is that before it of this site', async (t) => {
    t.match(await rollback(), { code: 0, from: wrong.archive, certificate: { archive: now.archive } })
    t.equal(latestIn(folder), now.leaf)
  })

  await t.test('also from a machine that has nothing on record, and by --to', async (t) => {
    ends(t, await world.deploy(wrongAgain, words), 0)
    const elsewhere = { environment: { ACME_OSS_STATE_DIR: world.path('elsewhere') } }
    // Neither the name nor most of what is there is that of the other site.
    t.match(await rollback(['example.com', '--directory', folder, '--dry-run'], elsewhere), {
      code: 0,
      certificate: { archive: now.archive },
    })
    const { code, warnings } = await rollback(['--directory', folder, '--to', old.archive, '--dry-run'], elsewhere)
    t.match([code, warnings], [0, [/does not name example\.org, example\.com\.cn/]])
    t.match(await rollback(['--to', old.archive]), { code: 0, certificate: { archive: old.archive } })
    t.match(await rollback(['--to', wrong.archive]), { code: 2, error: { code: 'NAME_NOT_COVERED' } })
    t.equal(latestIn(folder), old.leaf)
  })
})

t.test('the bad one never came to latest/', async (t) => {
  const world = await openWorld(t, { here: true })
  const beside = world.path('beside')
  const words = [...world.toBucket, '--directory', beside]
  const first = await mint(-40, 50)
  for (const one of [first, old]) ends(t, await world.deploy(one, words), 0)
  const fault = world.emulator.fail({ key: `${prefix}latest/cert.pem` }, { status: 403, code: 'AccessDenied' })
  const failed = await world.deploy(now, words)
  fault.remove()
  ends(t, failed, 3)
  t.equal(latestIn(beside), now.leaf)

  const run = await world.run(['rollback', '--json'])
  ends(t, run, 0)
  const { from, certificate, hold } = JSON.parse(run.stdout)
  t.same([from, certificate.archive, hold.archive], [now.archive, old.archive, old.archive])
  t.match(
    run.stderr,
    new RegExp(`${now.archive}, which was asked for last, is not in .*latest/: back to what is there`),
  )
  t.equal(latestIn(beside), old.leaf)
  provesLatest(t, world, old)
  ends(t, await world.run(['rollback']), 0)
  t.equal(latestIn(beside), first.leaf, 'once more goes further back')
})

t.test('what cannot be looked at is not nothing', async (t) => {
  const world = await openWorld(t, { here: true })
  const folder = world.path('loop')
  // As no right would keep root out.
  symlinkSync(folder, folder)
  const run = await world.run(['history', '--directory', folder])
  ends(t, run, 1)
  t.notMatch(run.stdout + run.stderr, /no certificate is archived|oss:/)
  t.match(run.stderr, `what lies in ${folder}/ may not be listed (the folder cannot be read)`)
  const json = await world.run(['history', '--json', '--directory', folder])
  ends(t, json, 1)
  t.match(JSON.parse(json.stdout), { ok: false, places: [{ listed: false, archives: [] }] })
  const back = await world.run(['rollback', '--json', '--directory', folder])
  t.match(resultOf(back).error, { code: 'FILE_UNREADABLE', message: `what lies in ${folder}/ may not be read` })
})

t.test('in a bucket, with a key that may do so much and no more', async (t) => {
  const world = await openWorld(t, { here: true })
  for (const one of [old, now]) ends(t, await world.deploy(one), 0)
  const may = (...actions: string[]): void =>
    world.emulator.addKey({ ...world.key, allow: [{ action: actions, resource: '*' }] })
  const places = (run: { readonly stdout: string }) => JSON.parse(run.stdout).places

  await t.test('without oss:GetObject there is no going back, and history knows names alone', async (t) => {
    may('oss:PutObject', 'oss:PutObjectAcl', 'oss:ListObjects')
    for (const to of [[], ['--to', old.archive]]) {
      const run = await world.run(['rollback', '--json', ...to])
      ends(t, run, 1)
      t.match(resultOf(run).error, {
        code: 'CLOUD_REFUSED',
        hint: /reads the private key from the archive: grant oss:GetObject/,
        vendor: { code: 'AccessDenied', requestId: /./ },
      })
    }
    const run = await world.run(['history', '--json'])
    ends(t, run, 0)
    t.match(JSON.parse(run.stdout).warnings, [/oss:GetObject is not granted/])
    t.match(places(run), [
      {
        listed: true,
        latest: null,
        archives: [
          { archive: now.archive, status: 'unknown' },
          { archive: old.archive, names: [] },
        ],
      },
    ])
    provesLatest(t, world, now)
  })

  await t.test('without oss:ListObjects, those on record are known', async (t) => {
    may('oss:PutObject', 'oss:PutObjectAcl', 'oss:GetObject')
    const run = await world.run(['history', '--json', ...world.toBucket])
    ends(t, run, 0)
    t.match(JSON.parse(run.stdout).warnings, [
      /\(oss:ListObjects on the bucket is not granted\): only archives that this machine has on record/,
    ])
    t.match(places(run), [
      {
        listed: false,
        latest: now.archive,
        archives: [
          { archive: now.archive, status: 'whole' },
          { archive: old.archive, status: 'whole' },
        ],
      },
    ])
    ends(t, await world.run(['rollback']), 0)
    provesLatest(t, world, old)
    ends(t, await world.run(['rollback', '--to', now.archive]), 0)
    provesLatest(t, world, now)
  })

  await t.test('from a machine that has nothing on record, by flags', async (t) => {
    may('*')
    const elsewhere = { environment: { ACME_OSS_STATE_DIR: world.path('elsewhere') } }
    const lost = await world.run(['rollback', '--json'], elsewhere)
    ends(t, lost, 2)
    t.match(resultOf(lost).error, { code: 'USAGE', message: /nothing was ever deployed from here/ })
    const from = world.emulator.requests.length
    ends(t, await world.run(['rollback', ...world.toBucket], elsewhere), 0)
    provesLatest(t, world, old)
    t.ok(changesIn(world.emulator.requests.slice(from)).every((one) => one.includes(`${prefix}latest/`)))
    // The hold is this machine's; what the other has on record keeps its own.
    ends(t, await world.run(['sync', '--now']), 0)
    provesLatest(t, world, old)
  })

  await t.test('a list of more than a page', async (t) => {
    const store = world.emulator.objects(bucket) as Map<string, never>
    const [any] = [...store.values()]
    for (let i = 0; i < 1100; i++) store.set(`many/${String(i).padStart(4, '0')} ü&/x`, any as never)
    const run = await world.run(
      ['history', '--json', ...world.toBucket, '--prefix', 'many/'].filter(
        (_, i, all) => !(all[i] === '--prefix' || all[i - 1] === '--prefix') || i >= all.length - 2,
      ),
    )
    ends(t, run, 0)
    const [{ others }] = places(run)
    t.equal(others.length, 1100)
    t.equal(others[1099], '1099 ü&')
  })
})

t.test('nothing secret was said', proveSilence)
