import type { Product } from '../pop/operation.js'
import { deleteUserCertificate, getCertWarehouseQuota, getUserCertificateDetail } from './detail.js'
import { listUserCertificateOrder } from './list.js'
import type { CasStore } from './store.js'
import { uploadUserCertificate } from './upload.js'

/** Certificate Management Service. */
export const casProduct = (store: CasStore): Product => ({
  ram: 'yundun-cert',
  host: 'cas',
  version: '2020-04-07',
  operations: [
    uploadUserCertificate(store),
    listUserCertificateOrder(store),
    getUserCertificateDetail(store),
    deleteUserCertificate(store),
    getCertWarehouseQuota(store),
  ],
  callsPerSecond: () => store.callsPerSecond,
})
