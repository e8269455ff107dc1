// Which archive is the one before: how many are looked at for that, and which names it has to have.
import t from 'tap'
import { archiveBefore, namesToCover } from '../../src/pipeline/rollback.js'

t.test('the newest that will do, of no more days than it takes, a few at a time', async (t) => {
  const day = (n: number): string => `2026-05-0${n}`
  const folders = [3, 2, 1].flatMap((n) =>
    Array.from({ length: 50 }, (_, i) => `${day(n)}_${String(i).padStart(8, '0')}`),
  )
  let [atOnce, most] = [0, 0]
  const seen: string[] = []
  const look = async (archive: string) => {
    most = Math.max(most, ++atOnce)
    await new Promise(setImmediate)
    atOnce--
    seen.push(archive)
    const notBefore = new Date(`${archive.slice(0, 10)}T00:00:${archive.slice(-2)}Z`)
    const manifest = { names: ['a.example'], notBefore, notAfter: new Date('2026-09-01') }
    return { archive, manifest: archive.startsWith(day(3)) ? undefined : manifest, why: 'is damaged' }
  }
  const current = { archive: '2026-05-04_ffffffff', notBefore: new Date('2026-05-04'), names: ['a.example'] }
  const now = new Date('2026-06-01')
  const { found, passedOver } = await archiveBefore({ folders, current, look, isOut: () => false, now })
  t.equal(found?.archive, `${day(2)}_00000049`)
  t.equal(passedOver.length, 50)
  t.equal(most, 8)
  t.same([...new Set(seen.map((one) => one.slice(0, 10)))], [day(3), day(2)], 'an older day is not asked for')
})

t.test('the names', async (t) => {
  const [a, ab, aw, other] = [['a.example'], ['a.example', 'b.example'], ['a.example', 'www.a.example'], ['x.example']]
  const cases: Readonly<Record<string, [Parameters<typeof namesToCover>, readonly string[] | undefined]>> = {
    'nothing else is known': [[a, [], undefined], a],
    'one more than before: nothing it serves may be lost': [[ab, [a, a, a], 'a.example'], ab],
    'one fewer than before': [[a, [ab, ab], 'a.example'], a],
    'of another site altogether': [[other, [ab, a, ab], undefined], ab],
    'of another site, by what it is filed under': [[other, [a], 'a.example'], a],
    'of this site, though most are of another': [[a, [other, other], 'a.example'], a],
    'as many of the one as of the other': [[a, [other], 'lineage'], a],
    'of some names of this site, and others': [[['a.example', 'x.example'], [aw, aw], 'a.example'], aw],
    'the wildcard of what others name': [
      [['*.a.example', 'a.example'], [aw, aw], undefined],
      ['*.a.example', 'a.example'],
    ],
  }
  for (const [what, [words, names]] of Object.entries(cases)) t.same(namesToCover(...words), names, what)
})
