import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { StateFolder } from '../../src/state/state-folder.js'
import { modesBelow } from '../deploy-world.js'

const newRoot = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'acme-oss-state-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'state')
}

const odd = [
  '*.example.com',
  '..',
  '.',
  '...',
  '.hidden',
  '/',
  '/etc/passwd',
  'a/../../b',
  'a\\b',
  'C:',
  ' ',
  '%2e%2e',
  '%',
  'a\nb',
  'a\u0000b',
  '-rf',
  'ü',
  '例え.テスト',
  '😀',
  '\'"`$(x)',
  'x'.repeat(200),
  'x'.repeat(201),
  'x'.repeat(5000),
  '例'.repeat(23),
  '例'.repeat(200),
  '😀'.repeat(100),
  'é'.repeat(100),
  `${'é'.repeat(100)}x`,
]

t.test('names become file names', async (t) => {
  const root = newRoot(t)
  const state = await StateFolder.open(root)
  const paths = odd.map((name) => state.path(name))
  for (const [i, path] of paths.entries()) {
    const what = JSON.stringify(odd[i]?.slice(0, 30))
    t.equal(dirname(path), root, `${what} stays in its folder`)
    t.match(
      basename(path),
      /^[A-Za-z0-9%_!~'()-][A-Za-z0-9%_.!~'()-]{0,249}$/,
      `${what} is a name that any system takes`,
    )
  }
  t.equal(new Set(paths).size, odd.length, 'no two share one')
  t.equal(basename(state.path('*.example.com')), '%2A.example.com')
  t.equal(basename(state.path('example.com')), 'example.com', 'those of every day stay as they are')
  const twins = ['a', 'b'].map((last) => state.path(`${'x'.repeat(500)}${last}`))
  t.not(twins[0], twins[1], 'long ones that differ at the end, too')
})

t.test('what was written is read, listed and removed again', async (t) => {
  const state = await StateFolder.open(newRoot(t))
  for (const name of odd) {
    await state.write(['deployments', name, 'record.json'], name)
    t.equal(await state.read(['deployments', name, 'record.json']), name)
  }
  const listed = await state.list(['deployments'])
  t.equal(listed.length, odd.length)
  for (const name of odd.filter((one) => encodeURIComponent(one).length < 190)) {
    t.ok(listed.includes(name), `${JSON.stringify(name)} is listed as people know it`)
  }
  await state.remove(['deployments', '..', 'record.json'])
  t.equal(await state.read(['deployments', '..', 'record.json']), undefined)
  await state.remove(['deployments', '..', 'record.json'])
  t.pass('removing what is not there is no mistake')
})

t.test('a listing passes over what is not ours', async (t) => {
  const state = await StateFolder.open(newRoot(t))
  t.same(await state.list(['deployments']), [], 'no folder, no names')
  await state.write(['deployments', 'example.com', 'record.json'], '')
  for (const name of ['.tmp-1-abc', '.DS_Store', 'lost%found', '%E4%BE']) {
    writeFileSync(join(state.root, 'deployments', name), '')
  }
  t.ok((await state.list(['deployments'])).includes('example.com'), 'and is not brought down by it')
})

t.test('folders and files are for the owner alone', async (t) => {
  const before = process.umask(0)
  const state = await StateFolder.open(newRoot(t))
  await state.write(['a', 'b', 'c'], 'x')
  process.umask(before)
  t.same(modesBelow(state.root), { '': '0700', a: '0700', 'a/b': '0700', 'a/b/c': '0600' })
})

t.test('a write is all or nothing', async (t) => {
  const state = await StateFolder.open(newRoot(t))
  const path = ['folder', 'file']
  const contents = Array.from({ length: 20 }, (_, i) => String(i).repeat(50_000))
  await state.write(path, contents[0] ?? '')
  let writing = true
  const looking = (async () => {
    const seen = new Set<string>()
    while (writing) {
      seen.add(readFileSync(state.path(...path), 'utf8'))
      await new Promise(setImmediate)
    }
    return [...seen]
  })()
  const inode = statSync(state.path(...path)).ino
  await Promise.all(contents.map((content) => state.write(path, content)))
  writing = false
  const seen = await looking
  t.ok(seen.length > 0)
  t.ok(
    seen.every((content) => contents.includes(content)),
    'the old or the new, never something between',
  )
  t.not(statSync(state.path(...path)).ino, inode, 'the file is replaced, not written into')
  t.same(readdirSync(state.path('folder')), ['file'], 'nothing is left beside it')
})

t.test('what cannot be used says so', async (t) => {
  const root = newRoot(t)
  writeFileSync(root, '')
  await t.rejects(StateFolder.open(root), { code: 'STATE_UNUSABLE', hint: /--state-dir or ACME_OSS_STATE_DIR/ })
  await t.rejects(StateFolder.open(join(root, 'below')), { code: 'STATE_UNUSABLE', message: /ENOTDIR/ })
  const state = await StateFolder.open(`${root}-other`)
  await state.write(['file'], '')
  await t.rejects(state.write(['file', 'below'], ''), { code: 'STATE_UNUSABLE' })
  await t.rejects(state.read(['file', 'below']), { code: 'STATE_UNUSABLE' })
  await t.rejects(state.list(['file']), { code: 'STATE_UNUSABLE' })
  await t.rejects(state.remove(['file', 'below']), { code: 'STATE_UNUSABLE' })
  rmSync(`${root}-other`, { recursive: true })
})
