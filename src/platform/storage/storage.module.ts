import { Module } from '@nestjs/common';
import { DiskIndicator } from './disk.indicator.js';
import { StorageRoom } from './storage-room.js';

@Module({ providers: [StorageRoom, DiskIndicator], exports: [StorageRoom] })
export class StorageModule {}
